"""A target that supports nothing."""

from pocketvae.benchmarks.targets.host import HostTarget


class PickyTarget(HostTarget):
    """Declines every artifact; `reason` says why it cannot be used at all, None where it can."""

    name = "picky"
    reason = None

    def declines(self, artifact):
        return "it runs no ONNX"

    def unavailable(self):
        return self.reason
