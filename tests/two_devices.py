"""Trains on two devices, which this process has of its one, and says how a batch is refused that they cannot share.

python two_devices.py SOURCE OUT VALUES
"""

import json
import sys
from pathlib import Path


def main():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from pocketvae.errors import SpecError
    from pocketvae.train import Strategy, TrainConfig, train, with_overrides
    from pocketvae.train.distribution import Workers

    source, out, values = sys.argv[1:]
    config = with_overrides(TrainConfig(), json.loads(values))
    assert Workers.start(Strategy.MIRRORED, 8).count == 2
    try:
        Workers.start(Strategy.MIRRORED, 9)
    except SpecError as e:
        sys.stdout.write(f"refused: {e}\n")
    train(source=source, out=Path(out), config=config, preset="x", strategy=Strategy.MIRRORED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
