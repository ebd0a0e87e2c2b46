"""``python -m cortexcast_client`` is ``cortexcast``."""

import sys

from cortexcast_client.command import main

sys.exit(main())
