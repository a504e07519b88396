"""``python -m dicom_node`` is the ``emerald`` command."""

import sys

from dicom_node.cli import main

if __name__ == "__main__":
    sys.exit(main())
