# Checks in one word. `.ci/run` does all of these and installs what they need.

postgres := env("TEST_DATABASE_URL", "")

# What to run before a commit.
check: fmt clippy deny buf test

# Formatting, without changing anything.
fmt:
    cargo fmt --all --check

# Lints; a warning is an error.
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, sources, and who may depend on what.
deny:
    cargo deny check --allow unused-wrapper bans licenses sources

# The protos: style, and compatibility with the last tag when there is one.
buf:
    buf lint proto
    tag=$(git describe --tags --abbrev=0 2>/dev/null || true); test -z "$tag" || buf breaking proto --against ".git#tag=$tag,subdir=proto"

# Every test, on SQLite and, when TEST_DATABASE_URL is set, on PostgreSQL.
test:
    cargo test --workspace

# The same with nextest: one process a test.
nextest:
    cargo nextest run --workspace

# The checks from outside: a Python client, a mail server, a webhook receiver, the shared data.
outside binary="target/debug/rekindle":
    tests/python/run client {{ binary }}
    tests/python/run capabilities {{ binary }}
    tests/python/run delivery {{ binary }}
    tests/python/run shared-data {{ binary }} --quick

# Rubbish to every method, on the command line and in files.
rubbish binary="target/debug/rekindle":
    tests/python/run rubbish {{ binary }}

# Every fuzz target for so many seconds; crates/fuzz/README.md.
fuzz seconds="600":
    crates/fuzz/run {{ seconds }}

# Every zone of the tz database against croner, five years of every schedule.
zones:
    cargo test --release -p rekindle-core --lib -- --ignored --nocapture every_zone

# Chance against sequences: so many seeds on SQLite, and on PostgreSQL when TEST_DATABASE_URL is set.
chance seeds="2000":
    REKINDLE_TEST_SEEDS={{ seeds }} cargo test -p rekindle-engine --test sequences -- chance --nocapture

# Chance against the step function, with a store in memory: so many seeds. 2,000 in the suite.
games seeds="100000":
    REKINDLE_TEST_GAMES={{ seeds }} cargo test --release -p rekindle-core --lib -- sequence::game --nocapture

# A sequence of 12 steps is edited while so many runs are in it, once by each policy.
edits runs="10000":
    REKINDLE_TEST_RUNS={{ runs }} cargo test -p rekindle-engine --test sequences -- edits::crowd --nocapture

# The clock of a running service set back and forward; needs libfaketime (apt-get install faketime).
clock binary="target/debug/rekindle":
    tests/python/run clock {{ binary }}

# Every shared-data question in every way it can be asked.
matrix binary="target/release/rekindle":
    cargo build --release --locked
    tests/python/run shared-data {{ binary }} --with-sequences

# Ten times the admitted rate, on both databases: times, memory, verdict. REKINDLE_FLOOD_SECONDS,
# REKINDLE_FLOOD_BATCH and REKINDLE_FLOOD_RATE make it longer, finer or faster.
floods:
    cargo test --profile ci-release --locked -p rekindle --test it -- --ignored --nocapture --test-threads 1 floods::a_long_flood

# 1,000 kills on each database, at random moments and at every failpoint, in rounds of 50; goes on
# where it stopped. Needs TEST_DATABASE_URL and the programs of a PostgreSQL server.
kills count="1000":
    REKINDLE_TEST_KILL_LOOP={{ count }} REKINDLE_TEST_PROGRESS=$PWD/target/kills.txt cargo test -p rekindle --test it kill_loop -- --nocapture --test-threads 1

# Replicas, in full: the lease as a model with its broken twins, three replicas sharing the work,
# 100 kills and 36 sleeps at the default lease times. Needs TEST_DATABASE_URL; 20 minutes.
replicas:
    cargo test -p rekindle-engine --test lease_model -- --nocapture
    cargo test -p rekindle-engine --test sequences stopping -- --nocapture
    cargo test -p rekindle --test it replicas -- --include-ignored --nocapture --test-threads 1

# Two replicas killed and stopped at random for so many seconds, in rounds of 30: promises hold, and
# no zombie writes. Needs TEST_DATABASE_URL; each round takes as long again to look at.
zombies seconds="600":
    REKINDLE_TEST_SECONDS={{ seconds }} cargo test -p rekindle --test it zombies -- --nocapture --test-threads 1

# Cancelled clients, in full: 10,000 requests on each database. Needs TEST_DATABASE_URL; minutes.
cancelled:
    cargo test -p rekindle --test it cancelled -- --include-ignored --nocapture --test-threads 1

# Shutdown: every step of it, with the times taken.
shutdown:
    cargo test -p rekindle --test it shutdown -- --nocapture --test-threads 1

# What a newcomer sees first.
dev:
    cargo run -- dev

# How fast it is, beside bare baselines; `just bench 1` is the full size.
bench scale="0.05" *rows="all":
    cargo build --profile ci-release --locked -p rekindle -p rekindle-bench
    target/ci-release/rekindle-bench --scale {{ scale }} {{ rows }}
