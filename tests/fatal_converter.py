"""A conversion worker whose TFLite converter dies of every graph with an ELU.

python fatal_converter.py FOLDER
"""

import os
import signal
import sys


def main():
    from pocketvae.export import worker
    from pocketvae.export.convert import tflite
    from pocketvae.export.convert.plain_graphs import operators_of

    convert = tflite.convert

    def fatal(graph, configure):
        if "Elu" in operators_of(graph.function.get_concrete_function().graph.as_graph_def()):
            os.kill(os.getpid(), signal.SIGSEGV)
        return convert(graph, configure)

    tflite.convert = fatal
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
