//! The whole program, from outside: a process that is started, asked, stopped and killed.
//!
//! Every test has a database and receivers of its own. `TEST_DATABASE_URL` names a
//! PostgreSQL server; without it only SQLite is tested, and that is said.

mod arrivals;
mod cancelled;
mod checker;
mod cli;
mod database;
mod desk;
mod dev;
mod floods;
mod kill_loop;
mod mailbox;
mod process;
mod read_back;
mod receiver;
mod relay;
mod replicas;
mod service;
mod shutdown;
mod surroundings;
mod zombies;
