/* What the steering program and its C++ side both know. Plain C: read by clang -target bpf too. */
#pragma once

#include <linux/types.h>

/* A frontend's address as a key. IPv4: family 4, the last twelve bytes zero (IpAddress::bytes). */
struct steering_address {
  __u8 family; /* 4 or 6 */
  __u8 reserved[3];
  __u8 bytes[16];
};

/* Per-CPU counters, one of which each received frame raises. */
enum steering_counter {
  STEERING_TO_DATAPLANE, /* for a frontend, handed to the queue's AF_XDP socket */
  STEERING_TO_KERNEL,    /* not about a frontend */
  STEERING_NO_SOCKET,    /* for a frontend, but nobody listens on this queue: to the kernel */
  STEERING_COUNTERS,
};

/* The socket map's size bounds the queue numbers that a port may use. */
enum { STEERING_MAX_QUEUES = 256, STEERING_MAX_FRONTENDS = 65536 };
