//! Every value of every row of every table, to look for what must not be there.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, DbErr, Statement};

use crate::database::TestDatabase;

/// All that a database holds, a line for each row; keys are hexadecimal.
pub async fn everything(database: &TestDatabase) -> String {
    read(database.store.writer()).await.expect("every table can be read")
}

async fn read(connection: &DatabaseConnection) -> Result<String, DbErr> {
    let backend = connection.get_database_backend();
    let mut all = Vec::new();
    for table in texts(connection, tables(backend)).await? {
        let row = if backend == DatabaseBackend::Postgres {
            "t::text".to_owned()
        } else {
            let names = format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')");
            texts(connection, &names).await?.join(" || ' ' || ")
        };
        let rows = texts(connection, &format!("SELECT {row} FROM {table} t")).await?;
        all.extend(rows.into_iter().map(|row| format!("{table} {row}")));
    }
    Ok(all.join("\n"))
}

fn tables(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => {
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
        }
        _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    }
}

async fn texts(connection: &DatabaseConnection, sql: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
