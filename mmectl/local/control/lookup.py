"""Records found by name or ARN, with AWS's refusals."""

from __future__ import annotations

from typing import Any

from mmectl.local.control.answers import PREFIXES
from mmectl.local.control.database import Records
from mmectl.local.control.values import Endpoint, Kind, Names, Record, Resource, invalid


class Lookup:
    """Finds records; raises AwsError in AWS's words where there is none, or one too many."""

    def __init__(self, records: Records, names: Names) -> None:
        self._records = records
        self.names = names

    def find(self, kind: Kind, name: str) -> Resource:
        """A model or an endpoint configuration."""
        record = self._records.all(kind).get(name.lower())
        if not isinstance(record, Resource):
            raise self.names.missing(kind, name)
        return record

    def endpoint(self, name: str) -> Endpoint:
        """An endpoint."""
        endpoint = self._records.endpoints.get(name.lower())
        if endpoint is None:
            raise self.names.missing("endpoint", name)
        return endpoint

    def by_arn(self, arn: str) -> Record:
        """Whatever has that ARN."""
        for kind in PREFIXES:
            name = arn.rpartition("/")[2].lower()
            record = self._records.all(kind).get(name)
            if record is not None and self.names.arn(kind, name) == arn.lower():
                return record
        raise invalid(f'Could not find resource "{arn}".')

    def refuse_existing(self, kind: Kind, name: str) -> None:
        """Refuse a name that is taken."""
        if name.lower() in self._records.all(kind):
            raise self.names.existing(kind, name)

    def arn(self, record: Record) -> dict[str, Any]:
        """The answer of an operation that answers with an ARN alone."""
        return {f"{PREFIXES[record.kind]}Arn": self.names.arn(record.kind, record.name)}
