"""A target that supports nothing."""

from pocketvae.benchmarks.parity import verify as verify_module
from pocketvae.benchmarks.targets.host import HostTarget


class PickyTarget(HostTarget):
    """Declines every artifact; `reason` says why it cannot be used at all, None where it can."""

    name = "picky"
    reason = None

    def declines(self, artifact):
        return "it runs no ONNX"

    def unavailable(self):
        return self.reason


def add_picky(monkeypatch):
    """Makes `verify_bundle` know the target, which is returned."""
    target, make_target = PickyTarget(), verify_module.make_target
    monkeypatch.setattr(verify_module, "make_target", lambda name: target if name == "picky" else make_target(name))
    return target
