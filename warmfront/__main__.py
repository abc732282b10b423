"""`python -m warmfront` is the `warmfront` command."""

import sys

from warmfront.cli import main

sys.exit(main())
