/* A cell from C: a session, a file, a transaction, a lock with its sequencer, events. Build it with
 *   cc -std=c11 cell.c $(pkg-config --cflags --libs hailstone-cell)
 * and run it with the addresses of a cell: ./a.out 127.0.0.1:7000,127.0.0.1:7001 */
#include <hailstone_cell.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kTimeoutMs = 5000 };

static void check(const char *what, int code, const hscell_error *error) {
  if (code == HSCELL_DONE) return;
  fprintf(stderr, "%s: %s%s\n", what, error->message, error->fate == HSCELL_UNKNOWN ? " (may have been done)" : "");
  exit(1);
}

static void on_session(void *user, int change) {
  if (change == HSCELL_SESSION_OPENED) *(volatile int *)user = 1;
  if (change == HSCELL_SESSION_EXPIRED) abort(); /* what was done under locks must stop here */
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s HOST:PORT[,HOST:PORT...] | srv:DOMAIN [CA CERTIFICATE KEY]\n", argv[0]);
    return 2;
  }
  static volatile int opened;
  hscell_error error;
  hscell_options options = {.struct_bytes = sizeof options, .cell = argv[1], .on_session = on_session};
  options.user = (void *)&opened;
  if (argc == 5) {
    options.authority_file = argv[2];
    options.certificate_file = argv[3];
    options.key_file = argv[4];
  }
  hscell *cell;
  check("new", hscell_new(&options, &cell, &error), &error);
  uint64_t session;
  check("session", hscell_open_session(cell, kTimeoutMs, &session, &error), &error);
  printf("session %" PRIu64 ", told: %d\n", session, opened);

  /* A file, and what a second creator is told. */
  static const char kFirst[] = "on";
  check("put", hscell_put(cell, "/example/flag", kFirst, strlen(kFirst), HSCELL_WRITE, HSCELL_LASTING, 0, kTimeoutMs,
                          NULL, &error), &error);
  const int again = hscell_put(cell, "/example/flag", "", 0, HSCELL_CREATE, HSCELL_LASTING, 0, kTimeoutMs, NULL, &error);
  if (again != HSCELL_EXISTS || error.fate != HSCELL_REFUSED) return 1;
  hscell_file file;
  check("get", hscell_get(cell, "/example/flag", kTimeoutMs, &file, &error), &error);
  printf("flag: %s, generation %" PRIu64 "\n", file.content, file.generation);

  /* What happens from here on. */
  hscell_watch *watch = hscell_watch_new(cell, "/example", file.revision);

  /* A lock, and a write that only its holder can make. */
  uint64_t grant;
  check("lock", hscell_lock(cell, "/example/lock", HSCELL_EXCLUSIVE, HSCELL_QUEUE, 1000, kTimeoutMs, &grant, &error),
        &error);
  hscell_txn *txn = hscell_txn_new();
  hscell_txn_if_sequencer(txn, "/example/lock", HSCELL_EXCLUSIVE, grant);
  hscell_txn_if_generation(txn, "/example/flag", file.generation);
  hscell_txn_put(txn, "/example/flag", "off", 3, HSCELL_WRITE, HSCELL_LASTING);
  hscell_txn_put(txn, "/example/leader", "me", 2, HSCELL_WRITE, HSCELL_EPHEMERAL);
  check("commit", hscell_txn_commit(cell, txn, kTimeoutMs, &error), &error);
  if (hscell_txn_commit(cell, txn, kTimeoutMs, &error) != HSCELL_CONFLICT) return 1;
  hscell_txn_free(txn);
  int stands;
  check("unlock", hscell_unlock(cell, "/example/lock", kTimeoutMs, &error), &error);
  check("sequencer", hscell_check_sequencer(cell, "/example/lock", HSCELL_EXCLUSIVE, grant, kTimeoutMs, &stands, &error),
        &error);
  printf("grant %s\n", stands ? "stands" : "has ended");
  hscell_file_free(&file);

  hscell_listing *listing;
  check("list", hscell_list(cell, "/example", NULL, kTimeoutMs, &listing, &error), &error);
  for (size_t i = 0; i < listing->count; ++i) printf("in /example: %s\n", listing->entries[i].name);
  hscell_listing_free(listing);

  for (int released = 0; !released;) {
    hscell_events *events;
    check("watch", hscell_watch_next(watch, kTimeoutMs, &events, &error), &error);
    for (size_t i = 0; i < events->count; ++i) {
      printf("event %d of %s\n", events->events[i].kind, events->events[i].path);
      released = released || events->events[i].kind == HSCELL_LOCK_RELEASED;
    }
    hscell_events_free(events);
  }
  hscell_watch_free(watch);
  check("close", hscell_close_session(cell, kTimeoutMs, &error), &error);
  check("get", hscell_get(cell, "/example/leader", kTimeoutMs, &file, &error), &error);
  printf("leader: %s\n", file.exists ? "still there" : "gone with the session");
  hscell_file_free(&file);
  hscell_free(cell);
  return 0;
}
