"""The provider's records: what `aiRecord` holds.

Usage follows a stated rough rule, so that tests can compute it: a token is a word (a run of
characters between white space), an input token costs half a credit, rounded up, and an output
token one credit. Crawled pages count as input, as they do upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.simulator.catalogue import provider_of

if TYPE_CHECKING:
    from service.simulator.chat_request import ChatRequest

_TEAM = "7d0f6f52-4b5e-4d53-9a64-1c2f0b9a3e01"
_USER = "7d0f6f52-4b5e-4d53-9a64-1c2f0b9a3e02"
_PAGE_WORDS = "A page about the subject, made up by the simulator."


def chat_record(
    request: ChatRequest, text: str, *, uuid: str, created_at: str, crawled: list[str]
) -> dict[str, Any]:
    """Return the body of a whole answer: `{"aiRecord": {…}}`.

    `crawled` are the pages that a web search looked at; `created_at` is ISO 8601 with
    milliseconds.
    """
    pages = [{"title": f"Page {link}", "link": link, "content": _PAGE_WORDS} for link in crawled]
    return {
        "aiRecord": {
            "uuid": uuid,
            "userId": _USER,
            "teamId": _TEAM,
            "teamUser": _team_user(),
            "model": request.model,
            "type": request.type,
            "metadata": usage(request.prompt, " ".join([_PAGE_WORDS] * len(crawled)), text),
            "rating": None,
            "feedback": None,
            "conversationId": request.prompt_object.get("conversationId"),
            "status": "SUCCESS",
            "createdAt": created_at,
            "aiRecordDetail": {
                "promptObject": {
                    **request.prompt_object,
                    "linkContentList": [],
                    "searchContentList": pages,
                },
                "resultObject": [*_search_results(pages), text],
                "responseObject": {},
            },
            "additionalData": None,
            "modelDetail": {
                "name": request.model,
                "provider": provider_of(request.model) or "OTHER",
            },
        }
    }


def usage(prompt: str, pages: str, text: str) -> dict[str, Any]:
    """Return `metadata` for a finished answer, counted by the rule of this module."""
    asked, crawled, answered = (len(words.split()) for words in (prompt, pages, text))
    input_credit = -(-(asked + crawled) // 2)
    return {
        "inputToken": asked + crawled,
        "outputToken": answered,
        "promptToken": asked,
        "totalToken": asked + crawled + answered,
        "inputCredit": input_credit,
        "outputCredit": answered,
        "credit": input_credit + answered,
        "executionTime": round(0.2 + 0.01 * answered, 2),
        "finishReason": "stop",
    }


def retell(record: dict[str, Any], text: str) -> None:
    """Make `record` (the inner object) tell another text, and count its output again."""
    detail = record["aiRecordDetail"]
    searched = [part for part in detail["resultObject"] if isinstance(part, dict)]
    detail["resultObject"] = [*searched, text]
    counters = record["metadata"]
    answered = len(text.split())
    counters["outputToken"] = counters["outputCredit"] = answered
    counters["totalToken"] = counters["inputToken"] + answered
    counters["credit"] = counters["inputCredit"] + answered


def _search_results(pages: list[dict[str, str]]) -> list[dict[str, Any]]:
    if not pages:
        return []
    results = [{"title": page["title"], "link": page["link"]} for page in pages]
    return [{"type": "web_search", "searchResults": results}]


def _team_user() -> dict[str, Any]:
    return {
        "teamId": _TEAM,
        "userId": _USER,
        "userName": "Simulated Owner",
        "userAvatar": None,
        "status": "ACTIVE",
        "role": "ADMIN",
        "creditLimit": 4_000_000,
        "usedCredit": 120_450,
        "createdAt": "2026-01-05T08:00:00.000Z",
        "createdBy": "SYSTEM",
        "updatedAt": "2026-10-06T09:00:00.000Z",
        "updatedBy": "SYSTEM",
    }
