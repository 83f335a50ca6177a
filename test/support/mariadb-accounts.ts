/** Who may do what on a MariaDB of the tests. */

/** The databases of tests begin so. */
export const TEST_PREFIX = "test_";

/** What `startMariadb` is told; the user may also see what all connections are doing, and may end them. */
export const MARIADB_ACCOUNTS = {
  user: "tester",
  password: "testing",
  databasePrefix: TEST_PREFIX,
  statements: [
    "GRANT PROCESS, CONNECTION ADMIN ON *.* TO 'tester'@'%'",
    "CREATE USER IF NOT EXISTS 'stranger'@'%' IDENTIFIED BY 'testing'",
  ],
} as const;
