"""What the OpenAPI document says of a request that was sent: whether it allows it, and what is to become of it.

The document's schemas decide. What they cannot say they have in words, and it is written here a second time: where
`/switch` looks for its parameters, that field names match whatever their case, how many bytes a text may have. None of
it knows the daemon's code.
"""

import email.parser
import email.policy
import functools
import json
import os
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs

with open(os.environ["OPENAPI_DOCUMENT"], encoding="utf-8") as file:
    DOCUMENT = json.load(file)

FIELDS = ("usercoins", "coin", "punames", "subpool_name", "payout_addr", "coinbase_info")
DEEPEST = 64


class NotJson(ValueError):
    """A body that is not the JSON asked for, whatever the schema."""


def validator(name):
    """Of the component of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


PUNAME, COIN = validator("Puname"), validator("Coin")
PUNAME_BYTES = DOCUMENT["components"]["schemas"]["Puname"]["x-max-bytes"]


def operation_of(request):
    return DOCUMENT["paths"][urlsplit(request.url).path][request.method.lower()]


def bytes_of(body):
    return body.encode() if isinstance(body, str) else body or b""


def is_puname(name):
    return name is not None and PUNAME.is_valid(name) and len(name.encode()) <= PUNAME_BYTES


def first(pairs, name):
    return next((value for key, value in pairs if key == name), None)


def pairs_of(text):
    return parse_qsl(text, keep_blank_values=True, errors="replace")


def parameters(request):
    """The pairs of `/switch`, in the order in which they count."""
    query = pairs_of(urlsplit(request.url).query)
    kind = request.headers.get("Content-Type", "")
    media_type = kind.split(";")[0].strip().lower()
    body = bytes_of(request.body)
    if request.method == "POST" and media_type == "application/x-www-form-urlencoded":
        return pairs_of(body.decode("latin-1")) + query
    if media_type == "multipart/form-data":
        return query + multipart(kind, body)
    return query


def has_control(line):
    """Whether it is a part's header with a control character, which makes the form malformed."""
    return line.lower().startswith(b"content-disposition:") and any(byte < 32 or byte == 127 for byte in line)


def multipart(kind, body):
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    if not form.is_multipart() or form.defects or any(map(has_control, body.split(b"\r\n"))):
        return []
    parts = [part for part in form.iter_parts() if part.get_filename() is None]
    name = lambda part: part.get_param("name", header="content-disposition")
    return [(name(part), part.get_payload(decode=True).decode(errors="replace")) for part in parts]


def folded(name):
    """A field's own name, if this is one of its spellings."""
    plain = name.replace("\u017f", "s").replace("\u212a", "k").lower()
    return plain if plain in FIELDS else name


def fields(pairs):
    found = {}
    for name, value in pairs:
        name = folded(name)
        # Of texts, null is as good as none, and what was there stays.
        if value is None and name in found and name not in ("usercoins", "punames"):
            continue
        found[name] = value
    return found


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def no_constant(name):
    raise NotJson(name)


def parsed(body):
    try:
        value = json.loads(body, object_pairs_hook=fields, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    if depth(value) > DEEPEST:
        raise NotJson("too deep")
    return value


# Each check asks again of the same request.
@functools.lru_cache(maxsize=16)
def switches(request):
    """The pairs of sub-account and coin that a switch request asks for; `None` if the document forbids it."""
    path = urlsplit(request.url).path
    if path == "/switch":
        pairs = parameters(request)
        puname, coin = first(pairs, "puname"), first(pairs, "coin")
        return [(puname, coin)] if is_puname(puname) and COIN.is_valid(coin) else None
    batch = json_body(request)
    if batch is None or flags(request) is None:
        return None
    groups = [group for group in batch["usercoins"] if group]
    entries = [(name, group["coin"]) for group in groups for name in group.get("punames") or []]
    return entries if all(is_puname(name) for name, _ in entries) else None


@functools.lru_cache(maxsize=16)
def json_body(request):
    """The body in JSON; `None` if the document forbids it."""
    content = operation_of(request)["requestBody"]["content"]["application/json"]
    try:
        body = parsed(bytes_of(request.body))
    except NotJson:
        return None
    schema = content["schema"] | {"components": DOCUMENT["components"]}
    return body if jsonschema_rs.Draft202012Validator(schema).is_valid(body) else None


def flags(request):
    """The flags that a batch sets; `None` if one of them is unclear."""
    in_query = [it for it in operation_of(request)["parameters"] if it["in"] == "query"]
    documented = {it["name"]: it["schema"]["enum"] for it in in_query}
    found = {}
    for name, value in pairs_of(urlsplit(request.url).query.replace(";", "&")):
        if (name := name.lower()) not in documented:
            continue
        if value not in documented[name] or found.get(name, is_set(value)) != is_set(value):
            return None
        found[name] = is_set(value)
    return {name for name, value in found.items() if value}


def is_set(value):
    return value in ("true", "1")
