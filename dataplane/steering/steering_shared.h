/* What the steering program and its C++ side both know. Plain C: read by clang -target bpf too. */
#pragma once

#include <linux/types.h>

/* A frontend's address as a key. IPv4: family 4, the last twelve bytes zero (IpAddress::bytes). */
struct steering_address {
  __u8 family; /* 4 or 6 */
  __u8 reserved[3];
  __u8 bytes[16];
};

/* What a nat service's backend sends from, as a key. Port 0 stands for all of its ports when the
 * value is STEERING_ANY_PORT, and for later fragments, which show no port, when it is
 * STEERING_AS_WRITTEN. */
struct steering_source {
  __u8 family;   /* 4 or 6 */
  __u8 protocol; /* TCP or UDP */
  __be16 port;
  __u8 bytes[16];
};
enum steering_source_value { STEERING_AS_WRITTEN = 1, STEERING_ANY_PORT = 2 };

/* Per-CPU counters, one of which each received frame raises. */
enum steering_counter {
  STEERING_TO_DATAPLANE, /* the dataplane's, handed to the queue's AF_XDP socket */
  STEERING_TO_KERNEL,    /* nothing of ours */
  STEERING_NO_SOCKET,    /* the dataplane's, but nobody listens on this queue: to the kernel */
  STEERING_COUNTERS,
};

/* The socket map's size bounds the queue numbers that a port may use. */
enum {
  STEERING_MAX_QUEUES = 256,
  STEERING_MAX_FRONTENDS = 65536,
  STEERING_MAX_SOURCES = 262144,
  STEERING_MAX_HOST_ADDRESSES = 4096,
};
