# SPDX-License-Identifier: Apache-2.0
"""One member's node in this process: it reads its own directory only and answers the others' messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hitoku import ask as way
from hitoku.errors import InputError, PeerError, Refusal
from hitoku.node.bulk import BulkShelf
from hitoku.node.duties import Duties
from hitoku.node.enclave import EnclaveDesk, Shelves
from hitoku.node.engines import Engines
from hitoku.node.jobs import Following, JobRunner, RunShelf
from hitoku.node.shares import SharesDesk
from hitoku.ports import Clock, Executor, Parcels, Progress
from hitoku.room.agreement import Ability, Agreement, ProtectionName, Room
from hitoku.room.canonical import canonical_json, digest
from hitoku.room.directory import MemberDirectory
from hitoku.room.files import write_whole
from hitoku.room.jobs import Job, JobState, Part
from hitoku.room.runs import Role, RunState
from hitoku.transport.in_process import InProcessNetwork, InProcessPeers
from hitoku.transport.parcels import NO_SUCH_PARCEL, RUN_ENDED
from hitoku.transport.runs import Begin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hitoku.ask.common import Examined
    from hitoku.ask.partner import Partner, TakesPart
    from hitoku.ask.unsealed import Sealing
    from hitoku.disclosure.answer import Answer
    from hitoku.engine.spark import SparkEngine
    from hitoku.engine.tables import TableFile
    from hitoku.node.attested import AttestedRun
    from hitoku.node.broker import BrokerDesk
    from hitoku.node.models import ModelDesk
    from hitoku.node.mutual import MutualAttestation
    from hitoku.node.predicting import Scored
    from hitoku.node.proposal_desk import ProposalDesk
    from hitoku.protections.base import Protection
    from hitoku.protections.crosstab import Crosstab
    from hitoku.room.jobs import Jobs
    from hitoku.room.records import Records
    from hitoku.transport.messages import RunRequest

__all__ = ["LocalNode"]


class LocalNode:
    """One member's node in this process."""

    def __init__(
        self,
        directory: MemberDirectory,
        shared: Room,
        network: InProcessNetwork,
        clock: Clock,
        progress: Progress,
    ) -> None:
        self._directory = directory
        before = directory.known(shared)
        self.room = directory.room(shared)
        self.peers: InProcessPeers = network.join(directory.name, self.handle)
        self._clock = clock
        self._progress = progress
        self.engines = Engines(self._files, self._spark)
        self._mutual = self._attesting()
        owners = self.room.agreement.owners
        self.shelf = RunShelf(lambda: self.jobs, directory.path / "runs", owners, self._mutual)
        self.runs = JobRunner(
            lambda: self.jobs,
            self.shelf,
            self._carry_out,
            self._over_there,
            lambda job: self.host().led.begin(job),
        )
        self.enclaves = EnclaveDesk(
            directory, self.room, lambda: self.records, clock, lambda: self.desk.broker, self.keep
        )
        self.bulk = BulkShelf(directory.path / "predictions")
        self.shares = SharesDesk(
            directory,
            self.room,
            self.peers,
            lambda: self._parcels,
            lambda: self.records,
            lambda: self.jobs,
            clock,
            self.keep,
        )
        self.shelves = Shelves(self.shelf, self.enclaves.offers, self.bulk, self.shares.uploads)
        self._parcels = network.parcels(directory.name, self.shelves)
        self._duties = Duties(self)
        self._forget_tables(before)

    def _forget_tables(self, before: Agreement | None) -> None:
        """Delete the host's copies of tables that left the room, or are another owner's now.

        A copy that stayed could be asked about under a rule that its owner never saw.
        """
        member = self.room.agreement.member(self._directory.name)
        if member is None or Ability.HOST not in member.abilities:
            return
        # Tables of every earlier version, not only of the one known: signing or verifying a version makes
        # it known too, and a crash may have come between.
        left = {t.name: t for version in self.room.history for t in version.agreement.tables}
        left = {n: t for n, t in left.items() if self.room.agreement.table(n) is None}
        for table in (*left.values(), *(() if before is None else before.tables)):
            now = self.room.agreement.table(table.name)
            gone = now is None or now.owner != table.owner
            if gone:
                self.records.forget_answers(table.name)
            while gone and (path := self._directory.table_file(table.name)) is not None:
                path.unlink()
                self.records.deleted(table.name, "it left the room" if now is None else "it has a new owner")

    def handle(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """Answer a message that another member sent.

        Raises:
            PeerError: the sender is no member, or this member has no such duty.
            HitokuError: whatever the duty raises.
        """
        return self._duties.answer(sender, message)

    @property
    def name(self) -> str:
        """The member's name."""
        return self._directory.name

    @property
    def mutual(self) -> MutualAttestation | None:
        """Mutual attestation with the other owner's node; None where the room does not demand it."""
        return self._mutual

    @cached_property
    def records(self) -> Records:
        """What this member remembers of the room."""
        records = self._directory.records(str(self.room.agreement.id), self._clock)
        records.accept(self.room.agreement)
        records.recover()
        return records

    @cached_property
    def jobs(self) -> Jobs:
        """The runs that outlive a request."""
        from hitoku.room.jobs import Jobs

        return Jobs(self.records.store, str(self.room.agreement.id))

    @cached_property
    def desk(self) -> BrokerDesk:
        """Where messages to this owner's key broker arrive."""
        from hitoku.node.broker import BrokerDesk

        return BrokerDesk(self._directory, self.room, lambda: self.records, self._clock)

    @cached_property
    def models(self) -> ModelDesk:
        """Where messages about models that this node serves arrive."""
        from hitoku.node.models import ModelDesk
        from hitoku.node.scoring import scorer

        return ModelDesk(
            self._directory, self.room, lambda: self.records, self._clock, self._parcels, self.bulk, scorer
        )

    @cached_property
    def proposals(self) -> ProposalDesk:
        """Where messages about next versions of the room arrive."""
        from hitoku.node.proposal_desk import ProposalDesk

        return ProposalDesk(self._directory, str(self.room.agreement.id), self._clock)

    def predict(self, model: str, rows: ArrayLike, progress: Progress) -> Scored:
        """Have rows scored by another member's model; see `hitoku.node.predicting.Asker.predict`.

        Raises:
            HitokuError: as there.
        """
        from hitoku.node.predicting import Asker

        asker = Asker(
            self._directory,
            self.room,
            self.peers,
            self._parcels,
            self.records,
            self.bulk,
            self._clock,
            progress,
        )
        return asker.predict(model, rows)

    @property
    def idle(self) -> bool:
        """Whether no run is under way here."""
        return self.runs.idle and self.shares.idle and ("models" not in self.__dict__ or self.models.idle)

    @property
    def sealing(self) -> Sealing:
        """What this member receives sealed answers to its own questions with."""
        from hitoku.ask.unsealed import Sealing

        return Sealing(self._directory.keys(), self.enclaves.certified)

    def prepare(self) -> None:
        """Start what takes a while on a host, while others are still checking the question."""
        agreement = self.room.agreement
        me = agreement.member(self._directory.name)
        on_tokens = ProtectionName.TOKENS in agreement.protections
        if on_tokens and me is not None and Ability.HOST in me.abilities:
            self.engines.prepare()

    def _files(self) -> dict[str, TableFile]:
        """The tables' files that are here."""
        from hitoku.engine.tables import TableFile

        files: dict[str, TableFile] = {}
        for table in self.room.agreement.tables:
            path = self._directory.table_file(table.name)
            if path is not None:
                files[table.name] = TableFile(path, "csv" if path.suffix == ".csv" else "parquet")
        return files

    def cancel(self) -> None:
        """End the questions that run on this host, from another thread."""
        self.engines.cancel_all()
        self.enclaves.cancel_all()
        self.shares.cancel_all()

    def close(self) -> None:
        """End what was prepared and not used."""
        self.engines.close()
        self.shares.close()
        if "records" in self.__dict__:
            self.records.store.close()

    def _attesting(self) -> MutualAttestation | None:
        """Mutual attestation with the other owner's node; None where the room does not demand it."""
        part = self.room.agreement.attestation
        if part is None or not part.crosstab:
            return None
        from hitoku.node.mutual import mutual_attestation

        return mutual_attestation(
            self._directory, self.room, self.peers, self._clock, lambda: self.records, self._shares
        )

    def _shares(self, run: str, member: str) -> bool:
        """Whether this member computes a run with another: it has begun, or was consented to."""
        if self.shelf.shares(run, member):
            return True
        reserved = self.records.state(run, Role.OWNER) is RunState.RESERVED
        return reserved and self.records.host_of(run) == member and self.jobs.find(run) is None

    def owner(self) -> way.Owner:
        """This member's side as an owner of tables."""
        return way.Owner(
            self.room, self.peers, self.records, self._directory.keys(), self._clock, self._has_tables
        )

    def _has_tables(self, tables: tuple[str, ...]) -> None:
        """Refuse, before anything is charged, where this node does not know where its own tables are."""
        from hitoku.node.people import settings_of

        if self._mutual is not None:
            from hitoku.node.attester import check_attests

            check_attests(self._directory)
        for table in tables:
            try:
                settings_of(self._directory, self.room, table)
            except InputError:
                me = self._directory.name
                raise Refusal(
                    "TABLE_NOT_AT_NODE",
                    f"the node of {me!r} does not know where its table {table!r} is",
                    owner=me,
                    remedy=f"{me} says so with `hitoku table add`",
                ) from None

    def host(self, progress: Progress | None = None, executor: Executor | None = None) -> way.Host:
        """This member's side as the place of runs."""
        return way.Host(
            room=self.room,
            peers=self.peers,
            records=self.records,
            runner=self._protection,
            versions=self._versions,
            executor=executor or self._local(),
            progress=progress or self._progress,
            clock=self._clock,
            jobs=self.jobs,
            server=self.shares.server if self._serves else None,
            leading=self.shares.leading,
        )

    @property
    def _serves(self) -> bool:
        """Whether this member is one of the three that compute on shares."""
        part = self.room.agreement.shares
        return part is not None and self._directory.name in part.servers

    def _spark(self) -> SparkEngine | None:
        """What joins and groups encrypted tables where node.toml names a cluster."""
        if not (self._directory.path / "node.toml").exists():
            return None
        from hitoku.node.cluster import spark_engine

        return spark_engine(self._directory.path)

    def _local(self) -> Executor:
        from hitoku.executors.local import Local

        return Local()

    @contextmanager
    def _batches(self, run: str) -> Iterator[Executor]:
        """Who computes the batches of a run: the member's cluster where it has one, else its own cores."""
        from hitoku.node.cluster import spark_executor

        cluster = spark_executor(self._directory.path, run)
        if cluster is None:
            yield self._local()
            return
        if self._mutual is not None:
            from hitoku.node.attester import check_attests

            check_attests(self._directory)  # refuses: a cluster's workers attest to nobody
        try:
            yield cluster
        finally:
            cluster.erase()  # not where the process ends: the run is taken up again, with what is there

    def partner(self, progress: Progress | None = None, executor: Executor | None = None) -> Partner:
        """This member's side as the other owner of a run of two."""
        from hitoku.ask.partner import Partner

        def runner(examined: Examined, request: Begin) -> TakesPart:
            self.shelf.shared(request.run, examined.place)
            batches = executor or self._local()
            crosstab = self._crosstab(request.run, examined.place)
            return _Part(crosstab, examined, batches, progress or self._progress)

        return Partner(self.room, self.peers, self.records, self._clock, self.jobs, runner)

    def settled(self, sender: str, message: dict[str, Any]) -> dict[str, Any]:
        """An owner hears how a run ended: then what it has of it goes."""
        answer = self.owner().settle(sender, message)
        self.enclaves.offers.over(answer["run"])
        self.shares.uploads.over(answer["run"])
        job = self.jobs.find(answer["run"])
        if job is not None and job.sender == sender and job.part is Part.PARTNER:
            self.runs.over(job.run, released=message["outcome"] == "released")
        if job is None and self._mutual is not None:
            self._mutual.forget(answer["run"])
        return answer

    def _carry_out(self, job: Job, following: Following) -> None:
        """A job, in its thread."""
        from hitoku.node.measured import measured

        def state() -> JobState | None:
            found = self.jobs.find(job.run)
            return None if found is None else found.state

        with (
            self._batches(job.run) as executor,
            measured(job, state, following, self._progress) as hears,
        ):
            if job.part is Part.LEAD:
                self.host(hears, executor).led.finish(job)
            else:
                self.partner(hears, executor).take_part(job)

    def _over_there(self, job: Job) -> bool:
        """Whether the leader of a job says that the run is over: it has nothing of it for this member."""
        import pyarrow as pa

        schema = pa.schema([pa.field("json", pa.binary(), nullable=False)])
        try:
            next(self._parcels.fetch(job.sender, job.run, "offer-a", schema, 1, 0), None)
        except PeerError as error:
            return error.code in {RUN_ENDED, NO_SUCH_PARCEL}
        return False

    def _crosstab(self, run: str, peer: str, begin: dict[str, Any] | None = None) -> Crosstab:
        from hitoku.node.people import prepared
        from hitoku.protections.crosstab import Crosstab, Site

        attested: AttestedRun | None = None
        parcels: Parcels = self._parcels
        if self._mutual is not None:
            from hitoku.node.attested import AttestedRun

            attested = AttestedRun(self._mutual, run, peer, leads=begin is not None)
            parcels = attested.parcels(self._parcels)
        return Crosstab(
            Site(
                room=self.room,
                run=run,
                vault=self.shelf.place(run),
                keys=self._directory.keys(),
                parcels=parcels,
                # In `work`, which goes when the run starts again or ends: a kill leaves rows there.
                prepare=lambda side: prepared(
                    self._directory, self.room, side, self.shelf.place(run) / "work"
                ),
                begin=begin or {},
                attested=attested,
                witness=self.jobs,
            )
        )

    def _versions(self, tables: tuple[str, ...]) -> str | None:
        """A hash that changes whenever one of the tables' files does, as the file system tells it.

        None where one is not here: then nothing can be told of its version.

        A file written in place with its size and all its times put back is taken for the same one; only who
        can write the host's files, and set its clock, can do that.
        """
        facts: dict[str, Any] = {}
        for name in tables:
            path = self._directory.table_file(name)
            if path is None:
                return None
            try:
                s = path.stat()
            except OSError:
                return None
            times = [str(s.st_mtime_ns), str(s.st_ctime_ns)]
            facts[name] = [path.name, str(s.st_size), str(s.st_ino), *times]
        return digest("hitoku/table-versions/1", canonical_json(facts))

    def taking(self, taken: list[str]) -> Callable[[Examined, RunRequest], Protection]:
        """`_protection`, and the run is put on the list: it has an engine or enclave that is to end."""

        def runner(examined: Examined, request: RunRequest) -> Protection:
            protection = self._protection(examined, request)
            taken.append(request.run)
            return protection

        return runner

    def _protection(self, examined: Examined, request: RunRequest) -> Protection:
        name, tables = examined.protection.name, examined.question.tables
        if name is ProtectionName.ENCLAVE:
            return self.enclaves.enclave(request.run, examined.question.asker, self.peers, self._parcels)
        if name is ProtectionName.SHARES:
            self.shares.claim(request.run)
            return examined.protection
        if name is ProtectionName.CROSSTAB:
            others = [o for o in examined.question.owners if o != self._directory.name]
            self.shelf.shared(request.run, others[0])
            begin = Begin(
                sql=request.sql,
                room=request.room,
                run=request.run,
                asker=examined.question.asker,
                receivers=request.receivers,
                protection=request.protection,
                consents=request.consents,
                users_noise=request.users_noise,
            )
            return self._crosstab(request.run, others[0], begin.model_dump(mode="json"))
        for table in tables:
            declared = self.room.agreement.table(table)
            if self._directory.table_file(table) is None:
                raise Refusal(
                    "TABLE_NOT_AT_HOST",
                    f"host {self._directory.name!r} has no copy of table {table!r}",
                    owner=None if declared is None else declared.owner,
                    remedy=f"its owner encrypts it and puts it into the host's tables/ as {table}.parquet",
                )
        if name is not ProtectionName.TOKENS:
            raise InputError(f"this host cannot run the protection {name}")
        return self.engines.take(request.run, examined.question.asker)

    def keep(self, answer: Answer) -> None:
        """Keep an answer that this member received.

        Raises:
            Refusal: there is another one of that run.
        """
        place = self._directory.path / "answers"
        place.mkdir(exist_ok=True)
        file, content = place / f"{answer.run}.json", json.dumps(answer.to_dict(), allow_nan=False).encode()
        if file.exists() and file.read_bytes() != content:
            raise Refusal("DELIVERY_REFUSED", f"{self._directory.name!r} has another answer of this run")
        write_whole(file, content)


class _Part:
    """The other owner's part of a run."""

    def __init__(
        self, crosstab: Crosstab, examined: Examined, executor: Executor, progress: Progress
    ) -> None:
        self._crosstab, self._examined = crosstab, examined
        self._executor, self._progress = executor, progress

    def take_part(self) -> None:
        """Do it, from wherever it stands."""
        examined = self._examined
        self._crosstab.take_part(examined.question, examined.plan, self._executor, self._progress)
