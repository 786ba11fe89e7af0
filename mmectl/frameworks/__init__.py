"""What a model's folder must hold, by framework."""

from pathlib import Path

from mmectl.base import packaged

packaged.require_links(Path(__file__).with_name("values.py"))
