"""Rows of the capability list, each shown once from outside, on one service and one workspace.

    tests/python/run capabilities target/debug/rekindle
"""

import argparse
import csv
import io
import itertools
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from checks import database, protos
from checks.errors import refused
from checks.report import Report, equal, expect
from checks.service import WORKSPACE, Service
from checks.wait import until

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    options = parser.parse_args()
    api = protos.load()
    report = Report()
    for kind in ("sqlite", "postgres") if options.postgres else ("sqlite",):
        with database.of_kind(kind, options.postgres) as url, Service(options.binary, url) as service:
            rows = Rows(api, service)
            for name, row in rows.every():
                report.check(f"{kind:<10}{name}", row)
    return report.close()


class Rows:
    """Each row sends its own events, of types and subjects of its own, and asks for its own funnel."""

    def __init__(self, api, service):
        self.api = api
        self.service = service
        self.funnels = api.FunnelServiceStub(service.channel)
        self.ingest = api.IngestServiceStub(service.channel)
        self.metrics = api.MetricsServiceStub(service.channel)
        self.numbers = itertools.count(1)

    def every(self):
        """The rows, by their ids."""
        return (
            ("S0-2   support and sales in one workspace, one timeline per conversation", self.support_and_sales),
            ("S0-3   three kinds of goals on one funnel, completion per kind", self.goals),
            ("S0-4   stalled and abandoned apart, by stage", self.stalled_and_abandoned),
            ("S0-6   a template makes a funnel that is then edited", self.template),
            ("S0-20  targets are tried out by chance and compared by who goes on", self.targets),
            ("S3-4   tracked events with typed properties are filtered and broken down by them", self.properties),
            ("S3-5   numeric filters; micro-steps roll up into one stage", self.micro_steps),
            ("S3-8   prerequisites hold in any order; cycles are refused", self.prerequisites),
            ("S3-9   unique people per step and period, and the sheet as CSV", self.people),
            ("S4-2   AIDA is a template; stages may be anything", self.aida),
            ("S4-3   2 to 50 stages, no fewer and no more", self.stage_counts),
            ("S4-5   steps back are kept and move nothing; the deepest attempt counts", self.back_and_forth),
            ("S4-8   the eight-stage journey is walked, optional stages left out", self.eight_stages),
            ("S4-10  a delivery service's event advances a stage", self.external_event),
            ("S4-11  stages, drop-offs, breakdown and trend in one answer", self.examined),
            ("S4-12  the journey map is kept; a dry run changes nothing; versions stay", self.journey_map),
        )

    def support_and_sales(self):
        api = self.api
        self.from_template("support", "house-support")
        self.from_template("aida-sales", "house-sales")
        self.send(
            self.event("page_viewed", 0, customer="ann"),
            self.event("customer_message", 1 * HOUR, "ann-1", "ann", text="does it fit?"),
            self.event("agent_message", 2 * HOUR, "ann-1", "ann", text="it does"),
            self.event("customer_message", 3 * HOUR, "ann-1", "ann", text="good"),
            self.event("resolution", 4 * HOUR, "ann-1", "ann", disposition="full"),
            self.event("trial_started", 5 * HOUR, customer="ann"),
            self.event("purchase", 6 * HOUR, customer="ann"),
        )
        equal("support", [1, 1, 1, 1], self.reached("house-support"))
        sales = self.subjects("house-sales", "action", api.FUNNEL_FIGURE_REACHED)
        expect(f"{WORKSPACE}/customers/ann" in sales, f"the sale is not counted among {sales}")
        stub = api.ConversationServiceStub(self.service.channel)
        name = f"{WORKSPACE}/conversations/ann-1"
        entries = stub.GetConversationTimeline(
            api.GetConversationTimelineRequest(name=name, page_size=1000), timeout=10
        ).entries
        told = [entry.event.type for entry in entries if entry.HasField("event")]
        equal("events told", ["customer_message", "agent_message", "customer_message", "resolution"], told)
        moves = [entry.stage_move for entry in entries if entry.HasField("stage_move")]
        support = [move.to_stage for move in moves if move.funnel == f"{WORKSPACE}/funnels/house-support"]
        equal("stages told", ["asked", "answered", "in-dialogue", "resolved"], support)
        times = [entry.time.ToNanoseconds() for entry in entries]
        expect(times == sorted(times), "the timeline is not in order")
        customers = api.CustomerServiceStub(self.service.channel)
        request = api.GetCustomerTimelineRequest(name=f"{WORKSPACE}/customers/ann", page_size=1000)
        entries = customers.GetCustomerTimeline(request, timeout=10).entries
        expected = ["page_viewed", "customer_message", "agent_message", "customer_message", "resolution"]
        told = [entry.event.type for entry in entries if entry.HasField("event")]
        equal("touchpoints of the customer", [*expected, "trial_started", "purchase"], told)

    def goals(self):
        api = self.api
        stages = [self.stage("g-start"), self.stage("g-buy"), self.stage("g-solve"), self.stage("g-engage")]
        stages[1].goal, stages[2].goal = api.GOAL_KIND_PURCHASE, api.GOAL_KIND_RESOLUTION
        stages[3].goal = api.GOAL_KIND_ENGAGEMENT
        self.create("goals", stages)
        for number, depth in enumerate((4, 3, 2, 1)):
            kinds = ("g-start", "g-buy", "g-solve", "g-engage")[:depth]
            self.send(*(self.event(kind, place * MINUTE, f"goal-{number}") for place, kind in enumerate(kinds)))
        figures = self.ask("goals").figures
        completion = {one.goal: (one.completion.numerator, one.completion.denominator) for one in figures.goals}
        expected = {api.GOAL_KIND_PURCHASE: (3, 4), api.GOAL_KIND_RESOLUTION: (2, 4), api.GOAL_KIND_ENGAGEMENT: (1, 4)}
        equal("completion", expected, completion)

    def stalled_and_abandoned(self):
        api = self.api
        stages = [self.stage("q-asked"), self.stage("q-answered"), self.stage("q-done")]
        for stage in stages[:2]:
            stage.stall.after.FromSeconds(HOUR)
            stage.abandon.after.FromSeconds(DAY)
        self.create("quiet", stages)
        self.send(
            self.event("q-asked", 0, "left"),
            self.event("q-asked", 23 * HOUR, "slow"),
            self.event("q-answered", 23 * HOUR + MINUTE, "slow"),
            self.event("q-asked", 24 * HOUR, "fresh"),
            self.event("q-asked", 0, "done"),
            self.event("q-answered", MINUTE, "done"),
            self.event("q-done", 2 * MINUTE, "done"),
        )
        as_of = 24 * HOUR + 2 * MINUTE
        stages = self.ask("quiet", as_of).figures.stages
        equal("stalled by stage", [0, 1, 0], [stage.stalled for stage in stages])
        equal("abandoned by stage", [1, 0, 0], [stage.abandoned for stage in stages])
        equal("active by stage", [1, 0], [stage.active for stage in stages[:2]])
        for stage, figure, who in (
            ("q-answered", api.FUNNEL_FIGURE_STALLED, "slow"),
            ("q-asked", api.FUNNEL_FIGURE_ABANDONED, "left"),
            ("q-asked", api.FUNNEL_FIGURE_ACTIVE, "fresh"),
        ):
            equal(f"who is in {stage}", [f"{WORKSPACE}/conversations/{who}"], self.subjects("quiet", stage, figure, as_of))
        stages = self.ask("quiet", 2 * HOUR).figures.stages
        equal("stalled earlier", [1, 0, 0], [stage.stalled for stage in stages])
        equal("abandoned earlier", [0, 0, 0], [stage.abandoned for stage in stages])

    def template(self):
        api = self.api
        made = self.from_template("support", "edited")
        made.stages[0].display_name = "Wrote to us"
        made.stages.insert(1, self.stage("triaged"))
        request = api.UpdateFunnelRequest(funnel=api.Funnel(name=made.name, etag=made.etag, stages=made.stages))
        edited = self.funnels.UpdateFunnel(request, timeout=10).funnel
        equal("revision", 2, edited.revision)
        equal("second stage", "triaged", edited.stages[1].id)
        equal("name of the first", "Wrote to us", edited.stages[0].display_name)
        expect(edited.etag != made.etag, "the etag is the same")

    def targets(self):
        stages = [self.stage("t-asked"), self.stage("t-answered")]
        stages[0].stall.after.FromSeconds(HOUR)
        experiment = stages[0].target_experiment
        experiment.id = "faster"
        for arm, seconds in (("hour", HOUR), ("minute", MINUTE)):
            experiment.arms.add(id=arm, weight=1).after.FromSeconds(seconds)
        self.create("targets", stages)
        people = [f"target-{number}" for number in range(60)]
        self.send(*(self.event("t-asked", 0, who) for who in people))
        self.send(*(self.event("t-answered", 10 * MINUTE, who) for who in people[:30]))
        request = self.api.QueryTargetExperimentRequest(funnel=f"{WORKSPACE}/funnels/targets", stage="t-asked")
        request.period.start_time.FromDatetime(START)
        request.as_of_time.FromDatetime(START + timedelta(seconds=2 * HOUR))

        def complete():
            answer = self.metrics.QueryTargetExperiment(request, timeout=30)
            return answer if answer.complete else None

        answer = until("targets is filled", complete, 60)
        hour, minute = answer.arms
        equal("arms", ["hour", "minute"], [arm.arm for arm in answer.arms])
        equal("came and went on", (60, 30), (hour.entered + minute.entered, hour.progressed + minute.progressed))
        expect(hour.entered and minute.entered, f"an arm is empty: {answer.arms}")
        # A minute is over for everybody, an hour for those whom nobody answered.
        equal("stalled", (hour.entered - hour.progressed, minute.entered), (hour.stalled, minute.stalled))
        expect(minute.HasField("difference") and not hour.HasField("difference"), f"compared wrongly: {answer.arms}")
        # Who is in which arm is chance here: the sizes are tested, and may happen to be odd.
        equal("tested", len(people), answer.sample_ratio.entered)
        expect(answer.sample_ratio.HasField("p_value"), f"no test: {answer.sample_ratio}")

    def properties(self):
        self.create("signups", [self.stage("signed-up"), self.stage("paid-up")])
        for number, (plan, industry, seats) in enumerate(
            (("Pro", "Retail", 12), ("Pro", "Retail", 3), ("Free", "Health", 40), ("Pro", "Health", 10))
        ):
            self.send(
                self.event("signed-up", 0, f"sign-{number}", plan=plan, industry=industry, seats=seats, annual=seats > 9)
            )
        equal("all", [4, 0], self.reached("signups"))
        rule = 'event.properties.plan == "Pro" && event.properties.seats >= 10 && event.properties.annual'
        equal("by three types of property", [2, 0], self.reached("signups", filter=rule))
        equal("text is no number", [0, 0], self.reached("signups", filter="event.properties.plan > 1"))
        groups = self.ask("signups", by="industry").breakdowns[0].groups
        equal("by industry", {"Retail": 2, "Health": 2}, {group.value: group.stages[0].reached for group in groups})

    def micro_steps(self):
        api = self.api
        deep = api.Match(event_types=["scrolled"], where="event.properties.depth > 0.5")
        fields = api.Match(event_types=["field-filled", "field-clicked"])
        self.create("form-coarse", [self.stage("form-opened"), api.Stage(id="engaged", enter=[deep, fields])])
        self.create(
            "form-fine",
            [self.stage("form-opened"), api.Stage(id="scrolled", enter=[deep]), api.Stage(id="filled", enter=[fields])],
        )
        for who, steps in (
            ("form-1", [("scrolled", 0.9), ("field-filled", None)]),
            ("form-2", [("scrolled", 0.2)]),
            ("form-3", [("field-clicked", None)]),
        ):
            self.send(self.event("form-opened", 0, who))
            for place, (kind, depth) in enumerate(steps, 1):
                properties = {} if depth is None else {"depth": depth}
                self.send(self.event(kind, place, who, **properties))
        equal("each step", [3, 1, 1], self.reached("form-fine"))
        equal("rolled up", [3, 2], self.reached("form-coarse"))

    def prerequisites(self):
        api = self.api
        stages = [self.stage("cart"), self.stage("card"), self.stage("shipping"), self.stage("checkout")]
        stages[3].requires.append("cart")
        self.create("buying", stages, order=api.STAGE_ORDER_ANY)
        self.send(*(self.event(kind, at, "buyer") for at, kind in enumerate(("cart", "card", "shipping", "checkout"))))
        self.send(*(self.event(kind, at, "other-way") for at, kind in enumerate(("card", "cart", "checkout", "shipping"))))
        self.send(*(self.event(kind, at, "no-cart") for at, kind in enumerate(("card", "checkout"))))
        equal("reached", [3, 2, 2, 2], self.reached("buying"))
        stages[0].requires.append("checkout")
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="cyclic", funnel=api.Funnel(stages=stages))
        request.funnel.order = api.STAGE_ORDER_ANY
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        refused(lambda: self.funnels.CreateFunnel(request, timeout=10), invalid, "FUNNEL_INVALID", ["stages[0].requires"])

    def people(self):
        api = self.api
        self.create("visits", [self.stage("visit"), self.stage("order")], subject=api.SUBJECT_KIND_CUSTOMER)
        self.send(
            self.event("visit", 0, "v-1", "pat"),
            self.event("visit", HOUR, "v-2", "pat"),
            self.event("order", 2 * HOUR, "v-2", "pat"),
            self.event("visit", 40 * DAY, "v-3", "kim"),
        )
        answer = self.ask("visits", trend=api.GRANULARITY_MONTH)
        equal("people per step", [2, 1], [stage.reached for stage in answer.figures.stages])
        per_period = [(bucket.start_date, bucket.entered, bucket.converted) for bucket in answer.trend_best]
        equal("people per period", [("2026-03-01", 1, 1), ("2026-04-01", 1, 0)], per_period)
        sheet = self.service.run("report", "funnel", "visits", "--trend", "month", "--zone", "UTC", "-o", "csv")
        rows = list(csv.reader(io.StringIO(sheet)))
        expect(len(rows) > 2 and len({len(row) for row in rows}) == 1, f"the sheet is no table: {sheet!r}")
        cells = {cell for row in rows for cell in row}
        expect({"visit", "order", "2026-03-01"} <= cells, f"the sheet lacks steps or periods: {sheet!r}")

    def aida(self):
        made = self.from_template("aida-sales", "aida")
        ids = [stage.id for stage in made.stages]
        equal("stages", ["awareness", "interest", "desire", "action"], ids)
        self.create("custom", [self.stage("consideration"), self.stage("conversion"), self.stage("loyalty")])

    def stage_counts(self):
        def funnel(count):
            stages = [self.stage(f"stage-{number}") for number in range(count)]
            return self.api.CreateFunnelRequest(
                parent=WORKSPACE, funnel_id=f"of-{count}", funnel=self.api.Funnel(stages=stages)
            )

        for count in (2, 50):
            equal("stages", count, len(self.funnels.CreateFunnel(funnel(count), timeout=10).funnel.stages))
        for count in (1, 51):
            call = lambda count=count: self.funnels.CreateFunnel(funnel(count), timeout=10)
            refused(call, grpc.StatusCode.INVALID_ARGUMENT, "FUNNEL_INVALID", ["stages"])

    def back_and_forth(self):
        api = self.api
        self.create("ladder", [self.stage("rung-1"), self.stage("rung-2"), self.stage("rung-3")])
        walk = ("rung-1", "rung-2", "rung-1", "rung-2", "rung-1")
        self.send(*(self.event(kind, at * MINUTE, "climber") for at, kind in enumerate(walk)))
        equal("reached", [1, 1, 0], self.reached("ladder"))
        stub = api.ConversationServiceStub(self.service.channel)
        name = f"{WORKSPACE}/conversations/climber"
        conversation = stub.GetConversation(api.GetConversationRequest(name=name), timeout=10).conversation
        stages = [place.stage for place in conversation.positions if place.funnel.endswith("/ladder")]
        equal("position", ["rung-2"], stages)
        events = stub.ListConversationEvents(api.ListConversationEventsRequest(parent=name), timeout=10).events
        equal("every step is kept, in order", list(walk), [event.type for event in events])

    def eight_stages(self):
        made = self.from_template("eight-stage-journey", "journey")
        ids = [stage.id for stage in made.stages]
        equal("stages", ["passive", "need", "want", "find", "buy", "get", "retain", "re-engage"], ids)
        kinds = ("page_viewed", "search_performed", "purchase", "delivered", "review_written", "referral_made")
        self.send(*(self.event(kind, at * HOUR, customer="walker") for at, kind in enumerate(kinds)))
        for stage in ("passive", "find", "buy", "get", "retain", "re-engage"):
            names = self.subjects("journey", stage, self.api.FUNNEL_FIGURE_REACHED)
            expect(f"{WORKSPACE}/customers/walker" in names, f"did not reach {stage}")
        names = self.subjects("journey", "need", self.api.FUNNEL_FIGURE_REACHED)
        expect(f"{WORKSPACE}/customers/walker" not in names, "an optional stage that was left out is counted")

    def external_event(self):
        self.create("parcel", [self.stage("ordered"), self.stage("parcel-delivered"), self.stage("reviewed")])
        self.send(self.event("ordered", 0, "parcel-1"))
        equal("before", [1, 0, 0], self.reached("parcel"))
        arrived = self.event("parcel-delivered", 2 * DAY, "parcel-1", carrier="post")
        arrived.author_type = self.api.AUTHOR_TYPE_SYSTEM
        self.send(arrived)
        equal("after", [1, 1, 0], self.reached("parcel"))

    def examined(self):
        self.create("examined", [self.stage("x-1"), self.stage("x-2"), self.stage("x-3")])
        for number in range(12):
            kinds = ("x-1", "x-2", "x-3")[: 1 + number % 3]
            at = number * DAY
            who = f"x-{number}"
            channel = "chat" if number % 2 else "mail"
            self.send(*(self.event(kind, at + place * 10, who, channel=channel) for place, kind in enumerate(kinds)))
        answer = self.ask("examined", by="channel", trend=self.api.GRANULARITY_WEEK)
        stages = answer.figures.stages
        equal("reached", [12, 8, 4], [stage.reached for stage in stages])
        equal("dropped", [0, 4, 4], [stage.dropped for stage in stages])
        equal("of previous", [(8, 12), (4, 8)], [(s.of_previous.numerator, s.of_previous.denominator) for s in stages[1:]])
        groups = {group.value: [stage.reached for stage in group.stages] for group in answer.breakdowns[0].groups}
        equal("by channel", {"chat": [6, 4, 2], "mail": [6, 4, 2]}, groups)
        alike = [round(group.converted_difference.value, 9) for group in answer.breakdowns[0].groups]
        equal("against all other channels", [0.0, 0.0], alike)
        trend = [(bucket.start_date, bucket.entered, bucket.converted) for bucket in answer.trend_best]
        equal("by week", [("2026-03-02", 7, 2), ("2026-03-09", 5, 2)], trend)

    def journey_map(self):
        api = self.api
        stages = [self.stage("m-1"), self.stage("m-2")]
        stages[0].touchpoints.extend(["shop window", "newsletter"])
        stages[0].resources.append("one person, mornings")
        stages[0].notes = "take it yourself once a month"
        funnel = api.Funnel(stages=stages, goals=["more returns"], personas=["Sam, in a hurry"], resources=["a van"])
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="map", funnel=funnel, validate_only=True)
        self.funnels.CreateFunnel(request, timeout=10)
        get = api.GetFunnelRequest(name=f"{WORKSPACE}/funnels/map")
        refused(lambda: self.funnels.GetFunnel(get, timeout=10), grpc.StatusCode.NOT_FOUND, "FUNNEL_NOT_FOUND")
        request.validate_only = False
        self.funnels.CreateFunnel(request, timeout=10)
        made = self.funnels.GetFunnel(get, timeout=10).funnel
        for name in ("goals", "personas", "resources"):
            equal(name, list(getattr(funnel, name)), list(getattr(made, name)))
        for name in ("touchpoints", "resources", "notes"):
            equal(f"{name} of the stage", getattr(stages[0], name), getattr(made.stages[0], name))
        change = api.UpdateFunnelRequest(funnel=api.Funnel(name=made.name, goals=["fewer returns"]), validate_only=True)
        self.funnels.UpdateFunnel(change, timeout=10)
        equal("after a dry run", made, self.funnels.GetFunnel(get, timeout=10).funnel)
        change.validate_only = False
        self.funnels.UpdateFunnel(change, timeout=10)
        listed = self.funnels.ListFunnelRevisions(api.ListFunnelRevisionsRequest(parent=made.name), timeout=10).revisions
        equal("goals by version", [["fewer returns"], ["more returns"]], [list(one.funnel.goals) for one in listed])

    def stage(self, kind):
        """A stage entered by the event type of its own name."""
        return self.api.Stage(id=kind, enter=[self.api.Match(event_types=[kind])])

    def create(self, funnel_id, stages, **fields):
        funnel = self.api.Funnel(stages=stages, **fields)
        request = self.api.CreateFunnelRequest(parent=WORKSPACE, funnel_id=funnel_id, funnel=funnel)
        return self.funnels.CreateFunnel(request, timeout=10).funnel

    def from_template(self, template, funnel_id):
        request = self.api.CreateFunnelFromTemplateRequest(parent=WORKSPACE, template=template, funnel_id=funnel_id)
        return self.funnels.CreateFunnelFromTemplate(request, timeout=10).funnel

    def event(self, kind, seconds, conversation="", customer="", text="", **properties):
        """An event so many seconds after the start."""
        number = next(self.numbers)
        event = self.api.Event(
            id=f"event-{number}", conversation=conversation, customer=customer, type=kind, text=text, sequence=number
        )
        event.occur_time.FromDatetime(START + timedelta(seconds=seconds))
        event.properties.update(properties)
        return event

    def send(self, *events):
        answer = self.ingest.IngestEvents(self.api.IngestEventsRequest(parent=WORKSPACE, events=events), timeout=30)
        equal("accepted", len(events), answer.accepted_count)

    def ask(self, funnel_id, as_of=None, by=None, trend=None, filter=""):
        """The answer to a question, once the funnel is filled."""
        api = self.api
        request = api.QueryFunnelRequest(funnel=f"{WORKSPACE}/funnels/{funnel_id}", filter=filter)
        if as_of is not None:
            request.as_of_time.FromDatetime(START + timedelta(seconds=as_of))
        if by:
            request.breakdowns.add(property=api.Property(scope=api.PROPERTY_SCOPE_EVENT, key=by))
        if trend:
            request.trend.CopyFrom(api.TrendSpec(granularity=trend, zone="UTC"))

        def complete():
            answer = self.metrics.QueryFunnel(request, timeout=30)
            return answer if answer.complete else None

        return until(f"{funnel_id} is filled", complete, 60)

    def reached(self, funnel_id, **question):
        return [stage.reached for stage in self.ask(funnel_id, **question).figures.stages]

    def subjects(self, funnel_id, stage, figure, as_of=None):
        """The names behind a number."""
        self.ask(funnel_id)
        request = self.api.ListFunnelSubjectsRequest(
            funnel=f"{WORKSPACE}/funnels/{funnel_id}", stage=stage, figure=figure, page_size=1000
        )
        if as_of is not None:
            request.as_of_time.FromDatetime(START + timedelta(seconds=as_of))
        return [subject.name for subject in self.metrics.ListFunnelSubjects(request, timeout=30).subjects]


if __name__ == "__main__":
    sys.exit(main())
