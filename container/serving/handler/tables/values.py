"""What is agreed with the runtimes on tables, and what only reading them needs."""

from __future__ import annotations

import numpy as np
from runtimes.tables import Dialect as Dialect
from runtimes.tables import Features as Features
from runtimes.tables import Table as Table
from runtimes.tables import may_be_rounded as may_be_rounded

NUMBER = np.float64
"""In what type numbers are read before they are brought into Features.dtype."""
