from __future__ import annotations

import openai
import pytest

from tests.openai.conftest import MODEL

pytestmark = pytest.mark.anyio


async def test_the_list(client):
    models = [model async for model in client.models.list()]
    assert MODEL in [model.id for model in models]
    assert len({model.id for model in models}) == len(models)
    assert {model.object for model in models} == {"model"}
    assert all(model.created > 0 and model.owned_by for model in models)
    assert all("chat" in model.model_extra["capabilities"] for model in models)


async def test_every_model_of_the_list_can_be_asked_for(client):
    async for model in client.models.list():
        assert await client.models.retrieve(model.id) == model


@pytest.mark.parametrize("model_id", ["no-such-model", "a/b:c", "a b", "☃", "x" * 300])
async def test_an_unknown_model_is_not_found(client, model_id):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve(model_id)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
