"""Files that steps of journeys upload, from the config to what a server gets, in virtual time."""

from __future__ import annotations

import email.parser
import email.policy
from hashlib import sha256
from pathlib import Path

import pytest

from evload.config.load import load_text
from evload.errors import ConfigError
from tests.rigs.scripted_journeys import SHOP, run_scripted
from tests.servers.httpserver import Request, always, answer

LOGO = b"\x89PNG\r\n--evload\r\n\x00" + bytes(range(256))
HEAD = f"""
producers: {{shop: {{kind: http, url: "{SHOP}"}}}}
journeys:
  order:
    vars: {{note: "Grüße \\"{{iteration}}\\""}}
    steps:
"""
SCENARIO = "scenarios: {main: {journeys: [order], load: [{rate: 10/s, for: 500ms}]}}\n"


def config(*steps: str) -> str:
    return HEAD + "".join(f"      - {step}\n" for step in steps) + SCENARIO


def parts(request: Request) -> list[tuple[str, str | None, str, bytes]]:
    """(field, file name, type, content) of each part, as Python's own parser of MIME finds them."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    assert message.is_multipart()
    found = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = part.get_param("name", header="content-disposition")
        found.append((str(name), part.get_filename(), part.get_content_type(), content))
    return found


def test_files_go_beside_the_fields_of_a_form_and_later_steps_know_them(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(LOGO)
    text = config(
        'put: {to: shop, post: /logos, form: {note: "{note}", n: "{iteration}"}, '
        'files: {image: {path: logo.png}, "ra\\"w": {size: 1B}, '
        "raw: {size: 300KB, type: application/x-raw, as: noise}}}",
        'check: {to: shop, post: /check, json: {sum: "{logo.sha256}", size: "{logo.size}", said: "{noise.size} B"}, '
        'check: {same: "vars.logo.size == `' + str(len(LOGO)) + '` && vars.noise.sha256 != vars.logo.sha256"}}',
    )
    ran = run_scripted(text, tmp_path, always(answer(200)))
    assert {one.ledger["completed"] for one in ran.report.summary.scenarios["main"].journeys().values()} == {5}
    puts = [request for request in ran.record.requests if request.target == "/logos"]
    noise = parts(puts[0])[4][3]
    for number, request in enumerate(puts):
        assert parts(request) == [
            ("note", None, "text/plain", f'Grüße "{number}"'.encode()), ("n", None, "text/plain", b"%d" % number),
            ("image", "logo.png", "image/png", LOGO), ("ra%22w", "ra%22w.bin", "application/octet-stream", noise[:1]),
            ("raw", "raw.bin", "application/x-raw", noise),
        ]  # fmt: skip
    assert len(noise) == 300_000
    assert len(set(noise[:5000])) == 256, "as if drawn"
    checks = {request.body for request in ran.record.requests if request.target == "/check"}
    assert checks == {b'{"sum":"%s","size":%d,"said":"300000 B"}' % (sha256(LOGO).hexdigest().encode(), len(LOGO))}
    (sizes,) = {row["bytes_out"] for row in ran.rows("SELECT bytes_out FROM events WHERE type = 0")}
    assert sizes == len(puts[0].body)


def test_a_run_with_the_same_seed_uploads_the_same_and_one_with_another_seed_does_not(tmp_path: Path) -> None:
    text = config(
        "put: {to: shop, post: /a, file: {size: 2KB}}", "more: {to: shop, put: /b, file: {size: 1KB, as: b}}"
    )
    bodies = []
    for seed in ("seed: 7", "seed: 7", "seed: 8"):
        requests = run_scripted(f"{seed}\n{text}", tmp_path, always(answer(200))).record.requests
        assert {len(request.body) for request in requests} == {1000, 2000}
        assert {request.headers["content-type"] for request in requests} == {"application/octet-stream"}
        bodies.append({request.body for request in requests})
        (tmp_path / "events.sqlite").unlink()
    assert bodies[0] == bodies[1]
    assert bodies[0] & bodies[2] == set()
    assert len(bodies[0]) == 2


BAD = [
    ("files: {a: {}}", "neither a path nor a size", "write {path: logo.png} or {size: 5MB}"),
    ("files: {a: {path: x, size: 1B}}", "a path and a size", "write {path: logo.png} or {size: 5MB}"),
    ("files: {a: {path: gone.png}}", "gone.png can't be read: no such file or directory", "name a file, seen from"),
    ("files: {a: {path: .}}", ". is no file", "name one"),
    ("files: {a: {size: 5}}", "5 is not a size", "write a size such as 300B"),
    ("files: {a: {size: 2GB}}", "2 GB is too large to be sent", "write 1 GB or less"),
    ("files: {a: {size: 1B, type: png}}", "'png' is no type of content", "write one such as image/png"),
    ("files: {a: {size: 1B}}, json: {}", "files are sent in a form, and this has json, too", "or use form"),
    ("file: {size: 1B}, body: x", "a request has one body, and this has body and file", "keep one"),
    ("files: {a: {size: 1B}}, headers: {Content-Type: a/b}", "the content type is that of what", "leave it out"),
    ("file: {size: 1B}, headers: {content-type: a/b}", "the content type is that of what", "write type:"),
    ("files: {a: {size: 1B, as: note}}", "this file is called 'note', as something else is", "as: NAME"),
    ("files: {a: {size: 1B, as: record}}", "{record} stands for something else already", "call it otherwise"),
    ("files: {a: {size: 1B, as: b}, c: {size: 2B, as: b}}", "another file of this journey is called 'b'", "as: NAME"),
    ('files: {a: {size: 1B}}, query: {x: "{a.sha25}"}', "unknown placeholder {a.sha25}", "did you mean {a.sha256}?"),
    ('files: {a: {size: 1B}}, query: {x: "{a}"}', "unknown placeholder {a}", "{a"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "what", "cure"), BAD, ids=[what for _, what, _ in BAD])
def test_each_mistake_is_one_clear_line(keys: str, what: str, cure: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(config(f"put: {{to: shop, post: /a, {keys}}}"), "c.yaml", base_dir=tmp_path, environ={})
    (line,) = map(str, refused.value.problems)
    assert line.startswith("c.yaml:7:")
    assert what in line.partition("; ")[0]
    assert cure in line.partition("; ")[2]


def test_files_belong_to_requests(tmp_path: Path) -> None:
    text = config("think: 1s", "say: {to: shop, event: e, files: {a: {size: 1B}}}").replace(
        "scenarios:", "events: {e: {type: t, source: s}}\nscenarios:"
    )
    with pytest.raises(ConfigError, match="files belongs to a request, and this is an event; leave it out"):
        load_text(text, "c.yaml", base_dir=tmp_path, environ={})
