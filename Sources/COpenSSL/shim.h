// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL, and functions for those of its macros that Swift cannot import.
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3 is needed"
#endif

// What every context is set to: what is unsafe is off, and writes may be tried again from another place in memory.
static inline uint64_t copenssl_options(void) {
    return SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE
        | SSL_OP_PRIORITIZE_CHACHA;
}

static inline uint64_t copenssl_no_ticket_option(void) { return SSL_OP_NO_TICKET; }

static inline long copenssl_mode(void) { return SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY; }

static inline long copenssl_release_mode(void) { return SSL_MODE_RELEASE_BUFFERS; }

static inline int copenssl_ctx_set_min_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}

static inline int copenssl_ctx_set_max_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_max_proto_version(ctx, version);
}

static inline void copenssl_ctx_set_mode(SSL_CTX *ctx, long mode) { SSL_CTX_set_mode(ctx, mode); }

static inline void copenssl_ctx_set_read_ahead(SSL_CTX *ctx) { SSL_CTX_set_read_ahead(ctx, 1); }

static inline int copenssl_ctx_set_groups(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}

static inline int copenssl_ctx_add_chain_certificate(SSL_CTX *ctx, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(ctx, certificate);
}

static inline void copenssl_ctx_set_session_cache_mode(SSL_CTX *ctx, long mode) {
    SSL_CTX_set_session_cache_mode(ctx, mode);
}

static inline void copenssl_ctx_set_server_name_callback(SSL_CTX *ctx, int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(ctx, callback);
}

static inline int copenssl_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline void copenssl_add_name(STACK_OF(X509_NAME) *names, X509 *certificate) {
    sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(certificate)));
}

static inline STACK_OF(X509_NAME) *copenssl_new_name_list(void) { return sk_X509_NAME_new_null(); }

static inline void copenssl_free_name_list(STACK_OF(X509_NAME) *names) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
}

static inline int copenssl_certificate_count(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }

static inline X509 *copenssl_certificate_at(const STACK_OF(X509) *chain, int index) {
    return sk_X509_value(chain, index);
}

static inline int copenssl_name_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }

static inline const GENERAL_NAME *copenssl_name_at(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}

static inline void copenssl_free_names(GENERAL_NAMES *names) { GENERAL_NAMES_free(names); }

static inline void copenssl_free(void *memory) { OPENSSL_free(memory); }

// RFC 2253, with characters beyond ASCII as they are.
static inline unsigned long copenssl_name_flags(void) { return XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB; }

static inline long copenssl_bio_memory(BIO *bio, char **bytes) { return BIO_get_mem_data(bio, bytes); }

static inline unsigned long copenssl_error_lib(unsigned long code) { return (unsigned long)ERR_GET_LIB(code); }

static inline unsigned long copenssl_error_reason(unsigned long code) {
    return (unsigned long)ERR_GET_REASON(code);
}

#endif
