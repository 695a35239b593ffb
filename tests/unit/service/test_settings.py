"""The gateway's settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from service.settings import GatewaySettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVA_GRAPH_OCR_DEADLINE_S", "2.5")
    assert GatewaySettings().ocr_deadline_s == 2.5


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        GatewaySettings().port = 1


@pytest.mark.parametrize("url", ["http://engine:8001", "http://engine:8001/", "http://engine:8001/v1"])
def test_engine_url_is_taken_with_and_without_its_version(url: str) -> None:
    assert GatewaySettings(engine_url=url).engine_url == "http://engine:8001"


@pytest.mark.parametrize(
    "setting", [{"engine_url": "engine:8001"}, {"redis_url": "http://redis"}, {"ocr_deadline_s": 0}]
)
def test_senseless_settings_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(**setting)  # type: ignore[arg-type]


def test_hosts_of_images_are_names_with_commas_between() -> None:
    assert GatewaySettings().image_hosts == frozenset()
    settings = GatewaySettings(image_url_hosts="Figures.example, cdn-1.figures.example ,xn--4ca.de,")
    assert settings.image_hosts == {"figures.example", "cdn-1.figures.example", "xn--4ca.de"}


@pytest.mark.parametrize(
    "no_host",
    ["127.0.0.1", "127.1", "[::1]", "::1", "https://a.org", "a.org:443", "a.org/b", "*.a.org", "ä.de", "a..b"],
)
def test_what_is_no_name_of_a_host_is_refused(no_host: str) -> None:
    with pytest.raises(ValidationError, match="name of a host"):
        GatewaySettings(image_url_hosts=f"a.org,{no_host}")


def test_bodies_with_images_in_base64_have_more_room() -> None:
    settings = GatewaySettings(max_image_bytes=3000)
    assert settings.max_bytes_of("/v1/chat/completions") == settings.max_completion_bytes > 4000
    assert settings.max_bytes_of("/v1/explain") == settings.max_body_bytes


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in GatewaySettings.model_fields.items() if not field.description] == []


def test_body_has_room_for_the_longest_of_everything() -> None:
    settings = GatewaySettings(max_image_bytes=1000, max_caption_chars=10, max_question_chars=5)
    assert settings.max_body_bytes > 1000 + 4 * 15


def test_log_shows_no_secret() -> None:
    settings = GatewaySettings(
        redis_url="redis://user:hush@redis:6379/0?password=hush",
        engine_url="http://user:hush@engine",
        engine_api_key="hush",  # type: ignore[arg-type]
    )
    assert "hush" not in repr(settings.for_log())
    assert settings.for_log()["redis_url"] == "redis://***@redis:6379/0"
    assert "hush" not in repr(settings).replace("engine_url='http://user:hush@engine'", "")


def test_processes_share_what_may_be_held_and_keep_room_for_the_largest_request() -> None:
    whole = GatewaySettings(workers=4)
    share = whole.share_of_one()
    assert share.uploads_bytes == whole.uploads_bytes / 4
    assert (share.decode_processes, share.max_answers) == (1, whole.max_answers)
    smallest = GatewaySettings(workers=256).share_of_one()
    assert smallest.uploads_bytes >= smallest.max_completion_bytes
    assert GatewaySettings().share_of_one() == GatewaySettings()
    assert GatewaySettings(workers=8, uploads_bytes=1000).share_of_one().uploads_bytes == 1000
