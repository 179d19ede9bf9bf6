/* OpenSSL at run time: its library is wherever Python's ssl is, its headers often are not. The functions used here are
 * functions (no macros) in 1.1 and in 3, and their prototypes are those of its manual. Certificates are not checked. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "load.h"

enum { ERROR_WANT_READ = 2, ERROR_WANT_WRITE = 3, ERROR_ZERO_RETURN = 6 };
enum { CTRL_MODE = 33, MODE_PARTIAL_WRITE = 1, MODE_MOVING_BUFFER = 2 };

static void *(*TLS_client_method)(void);
static void *(*SSL_CTX_new)(void *);
static long (*SSL_CTX_ctrl)(void *, int, long, void *);
static void *(*SSL_new)(void *);
static void (*SSL_free)(void *);
static int (*SSL_set_fd)(void *, int);
static int (*SSL_connect)(void *);
static int (*SSL_read)(void *, void *, int);
static int (*SSL_write)(void *, const void *, int);
static int (*SSL_get_error)(const void *, int);
static void (*ERR_clear_error)(void);
static void *context;

static void *function(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) die("libssl has no %s", name);
    return found;
}

void tls_load(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_GLOBAL);
    if (!library) library = dlopen("libssl.so.1.1", RTLD_NOW | RTLD_GLOBAL);
    if (!library) die("--tls needs libssl.so.3 (Debian: libssl3)");
    TLS_client_method = function(library, "TLS_client_method");
    SSL_CTX_new = function(library, "SSL_CTX_new");
    SSL_CTX_ctrl = function(library, "SSL_CTX_ctrl");
    SSL_new = function(library, "SSL_new");
    SSL_free = function(library, "SSL_free");
    SSL_set_fd = function(library, "SSL_set_fd");
    SSL_connect = function(library, "SSL_connect");
    SSL_read = function(library, "SSL_read");
    SSL_write = function(library, "SSL_write");
    SSL_get_error = function(library, "SSL_get_error");
    ERR_clear_error = function(library, "ERR_clear_error");
    context = SSL_CTX_new(TLS_client_method());
    if (!context) die("OpenSSL gives no context");
    SSL_CTX_ctrl(context, CTRL_MODE, MODE_PARTIAL_WRITE | MODE_MOVING_BUFFER, NULL);
}

void *tls_new(int fd) {
    void *tls = SSL_new(context);
    if (!tls || SSL_set_fd(tls, fd) != 1) die("OpenSSL gives no connection");
    return tls;
}

void tls_free(void *tls) { SSL_free(tls); }

static long result(void *tls, int done, bool *wants_write) {
    if (done > 0) return done;
    int error = SSL_get_error(tls, done);
    if (error == ERROR_ZERO_RETURN) return 0;
    errno = error == ERROR_WANT_READ || error == ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    *wants_write = error == ERROR_WANT_WRITE;
    return -1;
}

long tls_handshake(void *tls, bool *wants_write) {
    ERR_clear_error();
    return result(tls, SSL_connect(tls), wants_write);
}

long tls_read(void *tls, char *bytes, size_t room, bool *wants_write) {
    ERR_clear_error();
    return result(tls, SSL_read(tls, bytes, (int)room), wants_write);
}

long tls_write(void *tls, const char *bytes, size_t length, bool *wants_write) {
    enum { RECORD = 16384 }; /* more would only be cut up again */
    ERR_clear_error();
    return result(tls, SSL_write(tls, bytes, length < RECORD ? (int)length : RECORD), wants_write);
}
