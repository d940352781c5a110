/* What the BPF programs and fairlead-agent both know. Plain C: read by clang -target bpf too. */
#pragma once

#include <linux/types.h>

enum agent_counter {
#define AGENT_COUNTER(name, kind, description) AGENT_##name,
#include "tools/agent/agent_counters.def"
#undef AGENT_COUNTER
  AGENT_COUNTERS,
};

/* Read-only to the programs: the verifier drops the branches that a setting switches off. */
struct agent_settings {
  __u32 interface_index; /* attached to */
  __u16 gue_port;        /* host order; 0 = GUE is not ours */
  __u16 clamp_mss;       /* 0 = SYN-ACKs are left alone */
  __u8 strict;           /* 1 = IPIP of others is dropped */
  __u8 hook;             /* enum agent_hook */
  __u8 made_qdisc;       /* 1 = clsact was put there by the agent */
  __u8 second_chance;    /* 1 = lists of candidates count, and so do packets of peers */
};

enum agent_hook { AGENT_HOOK_XDP = 0, AGENT_HOOK_TC = 1 };

/* Keys of the balancers' prefix tries. */
struct agent_prefix4 {
  __u32 length_bits;
  __u8 address[4];
};
struct agent_prefix6 {
  __u32 length_bits;
  __u8 address[16];
};

/* A frontend's address that a balancer's packet was for; IPv4: the last twelve bytes zero. */
struct agent_address {
  __u8 version;
  __u8 reserved[3];
  __u8 bytes[16];
};

enum { AGENT_MAX_BALANCERS = 4096, AGENT_MAX_FRONTENDS = 4096 };
