"""What a phone says of itself."""

from pocketvae.benchmarks.remote.phone import Cores, Heat, heat_warnings, is_emulator, read_cores, read_heat

CORES = Cores(
    highest={0: 1_800_000, 1: 1_800_000, 2: 2_400_000, 3: 2_400_000, 4: 3_000_000},
    allowed={0: 1_800_000, 1: 1_800_000, 2: 2_400_000, 3: 2_400_000, 4: 2_250_000},
)


class Answers:
    """A device that answers scripts by a word in them."""

    def __init__(self, **answers):
        self.answers = answers

    def shell(self, script):
        return next((said for word, said in self.answers.items() if word in script), "")


def test_the_fastest_cores_come_in_whole_clusters():
    assert CORES.fastest(1) == (4,)
    assert CORES.fastest(2) == (2, 3, 4)
    assert CORES.fastest(9) == (0, 1, 2, 3, 4)
    assert CORES.limited_to == 0.75


def test_a_phone_that_does_not_say_is_left_to_the_system():
    cores = read_cores(Answers(cpufreq="0  \n1  \n"))
    assert cores.fastest(1) == ()
    assert cores.limited_to == 1
    assert read_heat(Answers()).describe() == "temperature unknown"


def test_temperatures_come_from_the_kernel_where_android_says_none():
    zones = "battery 31000\ncpu-1-0-usr 45100\ntsens_tz_sensor2 47300\n"
    heat = read_heat(Answers(dumpsys="Thermal Status: 0", thermal_zone=zones))
    assert heat == Heat(celsius=47.3, status=0, limited_to=1.0)
    assert heat.describe() == "47.3 °C"


def test_throttling_is_told():
    cool, hot = Heat(celsius=30.0, status=0, limited_to=1.0), Heat(celsius=45.5, status=3, limited_to=0.8)
    assert heat_warnings(cool, cool) == ("before 30.0 °C; after 30.0 °C",)
    first, second = heat_warnings(cool, hot)
    assert first == "before 30.0 °C; after 45.5 °C, thermal status severe, fast cores limited to 80% of their frequency"
    assert second.startswith("the phone was throttled")


def test_an_emulator_is_told_by_either_property():
    assert is_emulator({"emulator": "1"})
    assert is_emulator({"boot_emulator": "1"})
    assert not is_emulator({"emulator": "", "boot_emulator": "0"})
