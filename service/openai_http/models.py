"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

from onemin.inference.v1 import inference_service_pb2 as pb
from onemin.inference.v1 import model_pb2
from service.errors import Reason, ServiceError, Violation
from service.openai_http.caller import call_from
from service.openai_http.encode import model_list, model_object
from service.openai_http.exchange import Exchange
from service.openai_http.refusals import quoted

if TYPE_CHECKING:
    from starlette.requests import Request

    from service.inference.api import InferenceApi

PAGES_LIMIT: Final = 16
"""Pages of the port's list that are joined, each of up to 1000 models."""

_ID_LIMIT: Final = 256


class Models:
    """Both endpoints.

    Args:
        api: The port.
    """

    def __init__(self, api: InferenceApi) -> None:
        self._api = api

    async def list_all(self, request: Request) -> Response:
        """List all models that answer conversations; OpenAI's list has no pages.

        Raises:
            ServiceError: The port refuses.
        """
        call = call_from(request.scope)
        Exchange.of(request.scope).reached_service = True
        models: list[model_pb2.Model] = []
        token = ""
        for _ in range(PAGES_LIMIT):
            page = pb.ListModelsRequest(
                capability=model_pb2.MODEL_CAPABILITY_CHAT, page_token=token
            )
            response = await self._api.list_models(page, call)
            models.extend(response.models)
            token = response.next_page_token
            if not token:
                return Response(model_list(models), media_type="application/json")
        raise RuntimeError("the list of models has no end")

    async def get(self, request: Request) -> Response:
        """Describe one model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` with the param `model`, or the port refuses.
        """
        call = call_from(request.scope)
        model_id: str = request.path_params["model_id"]
        if not 0 < len(model_id) <= _ID_LIMIT:
            raise _not_found(model_id)
        Exchange.of(request.scope).reached_service = True
        try:
            response = await self._api.get_model(pb.GetModelRequest(id=model_id), call)
        except ServiceError as error:
            if error.reason is Reason.MODEL_NOT_FOUND:
                raise _not_found(model_id) from error
            raise
        return Response(orjson.dumps(model_object(response.model)), media_type="application/json")


def _not_found(model_id: str) -> ServiceError:
    text = f"The model '{quoted(model_id)}' does not exist"
    violation = Violation("model", text)
    return ServiceError(Reason.MODEL_NOT_FOUND, text, violations=[violation])
