"""The file of a fleet."""

import pytest

from pocketvae.benchmarks.fleet.config import parse_fleet, read_fleet
from pocketvae.errors import SpecError

FILE = """
at_once = 4
time_limit_s = 900

[at_once_per]
site = 2

[groups.pixel-6]
labels = { model = "pixel-6", chip = "Tensor", site = "oslo" }
time_limit_s = 300

[[devices]]
name = "a"
group = "pixel-6"
target = "android:A1"
labels = { site = "berlin" }

[[devices]]
name = "b"
target = "ssh://pi@raspberry.local"
time_limit_s = 60.5
"""


def test_a_device_has_what_its_group_has_unless_it_says_otherwise(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(FILE)
    fleet = read_fleet(path)
    first, second = fleet.devices
    assert (fleet.name, fleet.at_once, fleet.at_once_per) == ("fleet.toml", 4, {"site": 2})
    assert first.labels == {"model": "pixel-6", "chip": "Tensor", "site": "berlin"}
    assert (first.model, first.time_limit_s) == ("pixel-6", 300.0)
    assert (second.model, second.time_limit_s) == ("b", 60.5)
    assert first.made().name == "android:A1"


def device(name="a", **more):
    return {"name": name, "target": f"android:{name}", **more}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, r"f\.toml has no devices: add \[\[devices\]\]"),
        ({"devices": []}, "has no devices"),
        ({"devices": {"a": 1}}, r"must be tables that begin with \[\[devices\]\]"),
        ({"device": []}, r"unknown key in f\.toml: 'device': did you mean 'devices'"),
        ({"devices": [device(lables={})]}, "unknown key in device 'a' in .*: 'lables': did you mean 'labels'"),
        ({"devices": [{"name": "a"}]}, r"device 'a' in f\.toml must have a target$"),
        ({"devices": [{"target": "host"}]}, r"device 1 in f\.toml must have a name$"),
        ({"devices": [device(name=3)]}, "must have a name, got 3"),
        ({"devices": [device("a,b")]}, "must be at most 64 letters, digits"),
        (
            {"devices": [device(), device()]},
            r'two devices in f\.toml have the name a: give each its own, such as "a-2"$',
        ),
        (
            {"devices": [device(), device("b", target="android:a")]},
            "have the target android:a, a and b: it is one device",
        ),
        ({"devices": [device(target="ard64")]}, r"device 'a' in f\.toml: unknown target 'ard64': did you mean 'arm64'"),
        ({"devices": [device(target="other.toml")]}, "a fleet such as other.toml stands alone"),
        ({"devices": [device(group="pixl")], "groups": {"pixel": {}}}, "unknown group .*'pixl': did you mean 'pixel'"),
        ({"devices": [device(group=["x"])]}, "unknown group"),
        ({"devices": [device()], "groups": {"x": {"target": "host"}}}, r"unknown key in groups\.x in f\.toml"),
        ({"devices": [device()], "groups": {"x": {"time_limit_s": -1}}}, "must be positive"),
        ({"devices": [device(labels={"name": "x"})]}, "neither name nor target, got 'name'"),
        ({"devices": [device(labels={"Site": "x"})]}, "small letters.*got 'Site'"),
        ({"devices": [device(labels={"site": "a,b"})]}, "without commas and equals signs, got 'a,b'"),
        (
            {"devices": [device(labels={"model": ""})]},
            "label model of device 'a' in .* must not be empty: leave it out",
        ),
        (
            {"devices": [device(), device("b", labels={"model": "a"})]},
            "device a in .* is a model of its own, which b has as its label model: give it that label too",
        ),
        ({"devices": [device(labels={"site": 1})]}, "must be text of one line"),
        ({"devices": [device(labels="x")]}, "labels in device 'a' .* must be a table"),
        ({"devices": [device()], "at_once": 0}, r"at_once in f\.toml must be at least 1, got 0"),
        ({"devices": [device()], "at_once": True}, "must be a whole number, got True"),
        ({"devices": [device()], "at_once": 1000}, "must be at most 256, got 1000"),
        ({"devices": [device()], "time_limit_s": "1"}, "must be a number of seconds"),
        ({"devices": [device(labels={"site": "x"})], "at_once_per": {"sit": 1}}, "unknown label .*did you mean 'site'"),
        ({"devices": [device(labels={"site": "x"})], "at_once_per": {"site": 1.5}}, "must be a whole number"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_where(data, message):
    with pytest.raises(SpecError, match=message) as found:
        parse_fleet(data, "f.toml")
    assert "\n" not in str(found.value)


def test_a_mark_of_byte_order_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(FILE, encoding="utf-8-sig")
    assert len(read_fleet(path).devices) == 2


def test_a_file_that_is_not_there_or_no_toml_is_said(tmp_path):
    with pytest.raises(SpecError, match="does not exist"):
        read_fleet(tmp_path / "no.toml")
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="cannot be read"):
        read_fleet(path)
    path.write_text("devices = [")
    with pytest.raises(SpecError, match="cannot be read"):
        read_fleet(path)
