"""Checks of the answers beside schemathesis's own, which go by the status: here nearly every answer has 200, and what
counts is whether it says `success`.

Every answer is also written to a ledger, out of which the test that started this tells what ZooKeeper must hold.
"""

import json
import os
from urllib.parse import urlsplit

import requests_judged as judged
import schemathesis

# Numbers that say that the request itself is wrong. 404 of a sub-pool's name is none: it may be there tomorrow.
OF_SWITCHES = {101, 102, 103, 104, 108, 400}
OF_SUB_POOLS = {400}
KNOWN_SUB_POOL = ("btc", "pool3")
COINBASE_BYTES = 30
REQUEST_BYTES = 8192
DRY_OUTCOMES = {"would_create", "would_change", "would_be_held", "unchanged", "superseded"}

LEDGER = open(os.environ["OPENAPI_LEDGER"], "a", encoding="utf-8")


def is_switch(request):
    return "switch" in urlsplit(request.url).path


def is_update(request):
    return "update" in urlsplit(request.url).path


def said(response):
    """What an answer of an endpoint says; `None` for those that others gave: no such method, no credentials."""
    if response.status_code != 200 or urlsplit(response.request.url).path not in judged.DOCUMENT["paths"]:
        return None
    return json.loads(response.content)


def is_unanswerable(update):
    """What the document says in words of updates that a jobmaker could never answer."""
    text = (update.get("coinbase_info") or "").encode()
    cut = len(text) > COINBASE_BYTES and text[COINBASE_BYTES] & 0xC0 == 0x80
    # Written as the daemon writes it a text may grow sixfold.
    return cut or 6 * len(json.dumps(update)) > REQUEST_BYTES


def is_allowed(request):
    if is_switch(request):
        return judged.switches(request) is not None
    return judged.json_body(request) is not None


@schemathesis.check
def success_only_for_what_the_document_allows(ctx, response, case):
    answer = said(response)
    if answer and answer["success"]:
        assert is_allowed(response.request), f"a success for what the document forbids: {answer}"


@schemathesis.check
def what_the_document_allows_is_not_called_wrong(ctx, response, case):
    answer, request = said(response), response.request
    if not answer or not is_allowed(request):
        return
    if is_switch(request):
        assert answer["err_no"] not in OF_SWITCHES, f"refused, though the document allows it: {answer}"
    elif not (is_update(request) and is_unanswerable(judged.json_body(request))):
        assert answer["err_no"] not in OF_SUB_POOLS, f"refused, though the document allows it: {answer}"


@schemathesis.check
def what_the_document_forbids_is_called_wrong(ctx, response, case):
    answer, request = said(response), response.request
    if answer and not is_allowed(request):
        numbers = OF_SWITCHES if is_switch(request) else OF_SUB_POOLS
        assert answer["err_no"] in numbers, f"the document forbids it, but the answer blames others: {answer}"


@schemathesis.check
def sub_pools_are_found_by_their_names_alone(ctx, response, case):
    answer, request = said(response), response.request
    if not answer or is_switch(request) or answer["err_no"] == 400:
        return
    body = judged.json_body(request)
    if (body["coin"], body["subpool_name"]) != KNOWN_SUB_POOL:
        assert answer["err_no"] == 404, f"there is no such sub-pool: {answer}"
        return
    assert "old" in answer, f"its jobmaker answers: {answer}"
    if is_update(request) and answer["success"]:
        text = (body.get("coinbase_info") or "").encode()[:COINBASE_BYTES].decode()
        wanted = {"coinbase_info": text, "payout_addr": body["payout_addr"].lower()}
        held = answer["new"] | {"payout_addr": answer["new"]["payout_addr"].lower()}
        assert held == wanted, f"an update that was not done is called a success: {answer}"


@schemathesis.check
def results_tell_of_every_entry_of_a_batch(ctx, response, case):
    answer, request = said(response), response.request
    if not answer or not is_switch(request) or urlsplit(request.url).path == "/switch":
        return
    entries = judged.switches(request)
    flags = judged.flags(request) if entries is not None else set()
    if not flags:
        assert "results" not in answer, f"results that nobody asked for: {answer}"
        return
    told = [(it["puname"], it["new"]) for it in answer["results"]]
    assert told == entries, f"results of other entries: {answer}"
    outcomes = {it["outcome"] for it in answer["results"]}
    if answer["success"]:
        expected = DRY_OUTCOMES if "dry_run" in flags else {"applied", "superseded"}
        assert outcomes <= expected, f"a success that its results contradict: {answer}"


@schemathesis.check
def answers_have_no_fields_but_documented_ones(ctx, response, case):
    answer = said(response)
    if not answer:
        return
    documented = judged.operation_of(response.request)["responses"].get("200")
    if documented is None:
        return
    names = set()
    pending = [documented["content"]["application/json"]["schema"]]
    while pending:
        it = pending.pop()
        if "$ref" in it:
            pending.append(judged.DOCUMENT["components"]["schemas"][it["$ref"].rsplit("/", 1)[1]])
        pending += it.get("anyOf", []) + it.get("allOf", [])
        names |= it.get("properties", {}).keys()
    assert answer.keys() <= names, f"fields that the document does not have: {answer.keys() - names}"


@schemathesis.hook
def after_call(context, case, response):
    request = response.request
    answer = said(response) or {}
    entry = {
        "operation": f"{request.method} {urlsplit(request.url).path}",
        "status": response.status_code,
        "success": answer.get("success"),
    }
    if answer.get("success") and is_switch(request):
        is_dry = request.method == "POST" and "multi" in request.url and "dry_run" in (judged.flags(request) or ())
        entry["switches"] = [] if is_dry else judged.switches(request) or []
    LEDGER.write(json.dumps(entry) + "\n")
    LEDGER.flush()
