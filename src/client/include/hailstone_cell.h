// A Hailstone cell for C: files, transactions, locks, events. Link with `pkg-config --libs hailstone-cell`.
#pragma once
/* Every call waits for its end, which comes by its deadline, and may be made from any thread, many at once. Paths are
 * "/a/b". Functions return HSCELL_DONE or what went wrong, and then say it in *error, where that is not NULL. Results
 * are written only when they return HSCELL_DONE; what was returned is freed by the function named with it. */

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HSCELL_API __attribute__((visibility("default")))
#else
#define HSCELL_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What to do about a failure. Numbers are never reused. */
enum hscell_code {
  HSCELL_DONE = 0,
  HSCELL_INVALID = 1,     /* the call is wrong; repeating it won't help */
  HSCELL_NOT_FOUND = 2,   /* no such file, lock or session */
  HSCELL_EXISTS = 3,      /* exclusive creation found it there */
  HSCELL_CONFLICT = 4,    /* a condition did not hold: read again */
  HSCELL_UNAVAILABLE = 5, /* not now; of a lock that is tried: somebody else has it */
  HSCELL_TIMEOUT = 6,     /* the deadline has passed: see the fate */
  HSCELL_CORRUPT = 7,     /* a member's answer makes no sense */
  HSCELL_EXHAUSTED = 8,   /* a limit is reached */
  HSCELL_DENIED = 9,      /* not authenticated, or without the right */
  HSCELL_UNSUPPORTED = 10,
  HSCELL_CANCELLED = 11, /* the client or the session was closed */
  HSCELL_IO = 12
};

/* What became of a call that failed. */
enum hscell_fate {
  HSCELL_REFUSED = 1,  /* the cell said no: nothing was done */
  HSCELL_NOT_DONE = 2, /* nothing was done, nor will be */
  HSCELL_UNKNOWN = 3   /* it may have been done, or be done yet */
};

typedef struct hscell_error {
  int code; /* hscell_code */
  int fate; /* hscell_fate */
  char message[500];
} hscell_error;

/* ---- a client ---- */

typedef struct hscell hscell;

enum hscell_change {
  HSCELL_SESSION_OPENED = 0,
  HSCELL_SESSION_REFUSED = 1,
  HSCELL_SESSION_JEOPARDY = 2, /* its lease may have run out: locks may be lost; calls wait */
  HSCELL_SESSION_SAFE = 3,     /* it has not */
  HSCELL_SESSION_EXPIRED = 4,  /* it has: locks are lost, ephemeral files go */
  HSCELL_SESSION_CLOSED = 5
};
/* Called on the client's thread: must return soon, and must not call the client. */
typedef void (*hscell_session_listener)(void* user, int change);

typedef struct hscell_options {
  size_t struct_bytes;                /* sizeof(hscell_options): a later library knows which fields there are */
  const char* cell;                   /* "host:port,host:port" or "srv:DOMAIN" */
  const char* authority_file;         /* PEM; with the next two: TLS. NULL: plain, and only on loopback */
  const char* certificate_file;       /* PEM; names the principal */
  const char* key_file;               /* PEM */
  uint32_t lease_ms;                  /* wished; 0: the default */
  int caching;                        /* not 0: reads are kept in memory while that is safe */
  hscell_session_listener on_session; /* may be NULL */
  void* user;                         /* its first argument */
} hscell_options;

/* "0.1.0" */
HSCELL_API const char* hscell_version(void);
/* Begins to connect, and does so again whenever the connection is lost. Does not wait for it. */
HSCELL_API int hscell_new(const hscell_options* options, hscell** out, hscell_error* error);
/* Watches must be freed before. A session that is open ends by its lease. NULL is fine. */
HSCELL_API void hscell_free(hscell* cell);

/* Whatever writes, locks or caches needs a session. */
HSCELL_API int hscell_open_session(hscell* cell, int64_t timeout_ms, uint64_t* session, hscell_error* error);
/* Ephemeral files go, locks are released. */
HSCELL_API int hscell_close_session(hscell* cell, int64_t timeout_ms, hscell_error* error);

/* ---- files ---- */

typedef struct hscell_file {
  int exists;    /* 0: there is none; the rest is 0 */
  char* content; /* with a NUL behind it that does not count */
  size_t bytes;
  uint64_t instance;        /* of this life of the path; never reused */
  uint64_t generation;      /* of the content: 1 at creation */
  uint64_t lock_generation; /* newest grant of its lock that it has seen */
  uint64_t owner;           /* session of an ephemeral file, else 0 */
  uint64_t revision;        /* of the cell: the reading shows all up to this */
} hscell_file;

HSCELL_API int hscell_get(hscell* cell, const char* path, int64_t timeout_ms, hscell_file* out, hscell_error* error);
HSCELL_API void hscell_file_free(hscell_file* file);

enum hscell_mode {
  HSCELL_WRITE = 1,  /* creates it or writes it */
  HSCELL_CREATE = 2, /* HSCELL_EXISTS if it is there */
  HSCELL_REPLACE = 3 /* HSCELL_NOT_FOUND if it is not */
};
enum hscell_life {
  HSCELL_LASTING = 1,
  HSCELL_EPHEMERAL = 2 /* goes with the session */
};
/* `generation`: HSCELL_CONFLICT unless the content is of it; 0: whatever it is. `written`: the content's new
 * generation; may be NULL. */
HSCELL_API int hscell_put(hscell* cell, const char* path, const void* content, size_t bytes, enum hscell_mode mode,
                          enum hscell_life life, uint64_t generation, int64_t timeout_ms, uint64_t* written,
                          hscell_error* error);
HSCELL_API int hscell_delete(hscell* cell, const char* path, uint64_t generation, int64_t timeout_ms,
                             hscell_error* error);

typedef struct hscell_entry {
  const char* name; /* below the listed path */
  int is_directory;
  uint64_t bytes;      /* of a file */
  uint64_t generation; /* of a file */
} hscell_entry;
typedef struct hscell_listing {
  hscell_entry* entries; /* by name */
  size_t count;
  const char* next; /* pass as `after` for what follows; NULL: that was all */
} hscell_listing;
/* Files and directories directly beneath a path, a page at a time. `after`: NULL from the start. */
HSCELL_API int hscell_list(hscell* cell, const char* path, const char* after, int64_t timeout_ms, hscell_listing** out,
                           hscell_error* error);
HSCELL_API void hscell_listing_free(hscell_listing* listing);

/* ---- transactions: all operations if all conditions hold, else nothing ---- */

typedef struct hscell_txn hscell_txn;
HSCELL_API hscell_txn* hscell_txn_new(void);
HSCELL_API void hscell_txn_free(hscell_txn* txn);
HSCELL_API void hscell_txn_if_exists(hscell_txn* txn, const char* path);
HSCELL_API void hscell_txn_if_absent(hscell_txn* txn, const char* path);
HSCELL_API void hscell_txn_if_generation(hscell_txn* txn, const char* path, uint64_t generation);
/* A grant of a lock still stands. */
HSCELL_API void hscell_txn_if_sequencer(hscell_txn* txn, const char* path, int lock_mode, uint64_t generation);
HSCELL_API void hscell_txn_put(hscell_txn* txn, const char* path, const void* content, size_t bytes,
                               enum hscell_mode mode, enum hscell_life life);
HSCELL_API void hscell_txn_delete(hscell_txn* txn, const char* path);
/* HSCELL_CONFLICT: a condition did not hold. The txn stays the caller's. */
HSCELL_API int hscell_txn_commit(hscell* cell, const hscell_txn* txn, int64_t timeout_ms, hscell_error* error);

/* ---- locks ---- */

enum hscell_lock_mode { HSCELL_SHARED = 1, HSCELL_EXCLUSIVE = 2 };
enum hscell_wait {
  HSCELL_TRY = 1,  /* HSCELL_UNAVAILABLE if somebody else has it */
  HSCELL_QUEUE = 2 /* in order of arrival, until the deadline */
};
/* `generation` rises with each grant and goes along with what is done on the lock's strength: together with path and
 * mode it is the sequencer. `delay_ms`: how long nobody gets the lock after this session expired holding it. */
HSCELL_API int hscell_lock(hscell* cell, const char* path, enum hscell_lock_mode mode, enum hscell_wait wait,
                           uint32_t delay_ms, int64_t timeout_ms, uint64_t* generation, hscell_error* error);
HSCELL_API int hscell_unlock(hscell* cell, const char* path, int64_t timeout_ms, hscell_error* error);
/* `stands`: not 0 if that grant has not ended. */
HSCELL_API int hscell_check_sequencer(hscell* cell, const char* path, enum hscell_lock_mode mode, uint64_t generation,
                                      int64_t timeout_ms, int* stands, hscell_error* error);

/* ---- events ---- */

enum hscell_event_kind {
  HSCELL_CREATED = 1,
  HSCELL_CHANGED = 2,
  HSCELL_DELETED = 3,
  HSCELL_LOCK_ACQUIRED = 4,
  HSCELL_LOCK_RELEASED = 5,
  HSCELL_LOCK_LOST = 6,
  HSCELL_SETTINGS = 7,
  HSCELL_RULES = 8
};
typedef struct hscell_event {
  int kind; /* hscell_event_kind; later cells may have more */
  const char* path;
  uint64_t revision;
  uint64_t instance, generation;     /* of a file */
  uint64_t session, lock_generation; /* of a lock */
} hscell_event;
typedef struct hscell_events {
  hscell_event* events; /* in order, of whole revisions */
  size_t count;         /* may be 0: nothing happened up to `upto` */
  uint64_t upto;        /* a new watch goes on from here */
  uint64_t compacted;   /* not 0: events up to here are forgotten. The watch's last: read again, watch from here */
} hscell_events;
typedef struct hscell_watch hscell_watch;

#define HSCELL_FROM_NOW UINT64_MAX
/* Events at and beneath a path behind revision `after`: each once and in order, over any number of connections. */
HSCELL_API hscell_watch* hscell_watch_new(hscell* cell, const char* path, uint64_t after);
HSCELL_API void hscell_watch_free(hscell_watch* watch);
/* HSCELL_TIMEOUT: none came. Any other failure: the watch has ended. From one thread at a time. */
HSCELL_API int hscell_watch_next(hscell_watch* watch, int64_t timeout_ms, hscell_events** out, hscell_error* error);
HSCELL_API void hscell_events_free(hscell_events* events);

#ifdef __cplusplus
}
#endif
