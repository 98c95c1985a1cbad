import pytest

from pocketvae.errors import ManifestError
from pocketvae.formats.tflite.metadata import metadata_ranges


def test_every_entry_is_found_with_its_bytes(bundles, tflite_models):
    content = tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="2.5.0")
    (found,) = metadata_ranges(content).items()
    assert found[0] == "min_runtime_version"
    assert content[found[1].start : found[1].stop] == b"2.5.0".ljust(16, b"\0")


def test_a_file_without_metadata_has_none(bundles, tflite_models):
    assert metadata_ranges(tflite_models.decoder(bundles.right_weight(), bundles.SIDE)) == {}


def test_foreign_and_truncated_files_are_refused(bundles, tflite_models):
    good = tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="2.5.0")
    with pytest.raises(ManifestError, match="the identifier 'TFL3' is missing"):
        metadata_ranges(b"PK\x03\x04 a zip file")
    for size in (8, 12, 20, 60):
        with pytest.raises(ManifestError, match="truncated|damaged"):
            metadata_ranges(good[:size])


def test_no_flipped_byte_leads_outside_the_file(bundles, tflite_models):
    good = tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="2.5.0")
    for position in range(0, len(good), 7):
        content = bytearray(good)
        content[position] ^= 0xFF
        try:
            ranges = metadata_ranges(bytes(content))
        except ManifestError:
            continue
        assert all(0 <= found.start <= found.stop <= len(good) for found in ranges.values())
