"""Checks of trusted documents against the graph: whether the released apps still work."""

import json
from pathlib import Path
from typing import Any

import pytest

from bff.commands.documents import check
from bff.settings import Settings, SettingsError, load
from schema.app import app as shop_app

VERSION_1 = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": "1", "name": "Account", "type": "query", "body": "query Account {\n  me { id email }\n}"},
        {"id": "2", "name": "Page", "type": "query", "body": "query Page { products { nodes { id } } }"},
    ],
}
VERSION_2 = {"3": "query Account2 { me { id name } }", "4": "query Old { me { id\n phone } }"}


def settings(tmp_path: Path, *manifests: Any, **options: Any) -> Settings:
    """Settings with those manifests for the variant web."""
    for number, manifest in enumerate(manifests, 1):
        (tmp_path / f"app-{number}.json").write_text(json.dumps(manifest))
    web = {"manifests": [str(tmp_path)], **options}
    return load(shop_app, {}, command_line={"variants": {"web": web}})


def test_valid_documents_are_counted(tmp_path: Path) -> None:
    """In the manifests of all app versions."""
    report = check(shop_app, settings(tmp_path, VERSION_1, {"3": VERSION_2["3"]}))
    assert (report.checked, report.broken, report.faults) == (3, 0, ())
    assert check(shop_app, load(shop_app, {})).checked == 0


def test_an_invalid_document_is_named(tmp_path: Path) -> None:
    """With the variant, manifest, document, location and field."""
    report = check(shop_app, settings(tmp_path, VERSION_1, VERSION_2))
    assert (report.checked, report.broken) == (4, 1)
    assert report.faults == ("web: app-2.json: 4: 2:2: Cannot query field 'phone' on type 'User'.",)


def test_a_breaking_change_of_the_graph_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documents that use a removed field are reported, and no others."""
    user: Any = shop_app.schemas["web"].type_map["User"]
    without_email = {name: field for name, field in dict(user.fields).items() if name != "email"}
    monkeypatch.setattr(user, "fields", without_email)
    report = check(shop_app, settings(tmp_path, VERSION_1, {"3": VERSION_2["3"]}))
    assert (report.checked, report.broken) == (3, 1)
    (fault,) = report.faults
    assert fault.startswith("web: app-1.json: Account: 2:11: Cannot query field 'email' on type 'User'.")


def test_limits_are_checked(tmp_path: Path) -> None:
    """A document over a limit is reported like one with a removed field."""
    report = check(shop_app, settings(tmp_path, VERSION_1, limits={"cost": 5}))
    assert report.broken == 1
    assert "app-1.json: Page: The document's cost: " in report.faults[0]


def test_an_invalid_manifest_is_named(tmp_path: Path) -> None:
    """With its setting."""
    (tmp_path / "app.json").write_text("[]")
    with pytest.raises(SettingsError, match=r"^variants\.web\.manifests: .*app\.json"):
        check(shop_app, settings(tmp_path))
