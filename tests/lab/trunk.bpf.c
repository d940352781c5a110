/* VLAN trunks for kernels without 802.1Q.
 *
 * to_balancer, from_balancer: the switch's port to the balancer carries VLAN 10 for the clients (MAC 02:00:00:00:0c:xx)
 * and VLAN 20 for the backends (MAC 02:00:00:00:0b:xx). The hosts' ports are untagged. A frame from the balancer is
 * dropped if it is untagged, or not in the VLAN of its destination.
 *
 * push_vlan, pop_vlan: all frames on the port have VLAN 20. push_qinq, pop_qinq: they have VLAN 20 in VLAN 100
 * (802.1ad). A frame with other tags from the port is dropped.
 */
/* clang-format off: linux/bpf.h first, libbpf's headers build on its types. */
#include <linux/bpf.h>
/* clang-format on */
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

enum { CLIENTS = 10, BACKENDS = 20, EVERYBODY = 20, OUTER = 100, VLAN_ID_BITS = 0xfff };

static __always_inline int vlan_of(const unsigned char* mac) {
  return mac[4] == 0x0c ? CLIENTS : mac[4] == 0x0b ? BACKENDS : 0;
}

SEC("tc/to_balancer")
int to_balancer(struct __sk_buff* skb) {
  const struct ethhdr* frame = (const void*)(long)skb->data;
  if ((const void*)(frame + 1) > (const void*)(long)skb->data_end) return TC_ACT_SHOT;
  int vlan = vlan_of(frame->h_source);
  if (vlan == 0 || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), (__u16)vlan) != 0)
    return TC_ACT_SHOT;
  return TC_ACT_OK;
}

SEC("tc/from_balancer")
int from_balancer(struct __sk_buff* skb) {
  const struct ethhdr* frame = (const void*)(long)skb->data;
  if ((const void*)(frame + 1) > (const void*)(long)skb->data_end) return TC_ACT_SHOT;
  int vlan = vlan_of(frame->h_dest);
  if (!skb->vlan_present || (int)(skb->vlan_tci & VLAN_ID_BITS) != vlan) return TC_ACT_SHOT;
  return bpf_skb_vlan_pop(skb) == 0 ? TC_ACT_OK : TC_ACT_SHOT;
}

static __always_inline int push(struct __sk_buff* skb, __u16 protocol, int vlan) {
  return bpf_skb_vlan_push(skb, bpf_htons(protocol), (__u16)vlan) == 0 ? TC_ACT_OK : TC_ACT_SHOT;
}

static __always_inline int pop(struct __sk_buff* skb, __u16 protocol, int vlan) {
  if (!skb->vlan_present || skb->vlan_proto != bpf_htons(protocol)) return TC_ACT_SHOT;
  if ((int)(skb->vlan_tci & VLAN_ID_BITS) != vlan) return TC_ACT_SHOT;
  return bpf_skb_vlan_pop(skb) == 0 ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("tc/push_vlan")
int push_vlan(struct __sk_buff* skb) { return push(skb, ETH_P_8021Q, EVERYBODY); }

SEC("tc/pop_vlan")
int pop_vlan(struct __sk_buff* skb) {
  const int verdict = pop(skb, ETH_P_8021Q, EVERYBODY);
  return skb->vlan_present ? TC_ACT_SHOT : verdict;
}

SEC("tc/push_qinq")
int push_qinq(struct __sk_buff* skb) {
  const int verdict = push(skb, ETH_P_8021Q, EVERYBODY);
  return verdict == TC_ACT_OK ? push(skb, ETH_P_8021AD, OUTER) : verdict;
}

SEC("tc/pop_qinq")
int pop_qinq(struct __sk_buff* skb) {
  const int verdict = pop(skb, ETH_P_8021AD, OUTER);
  return verdict == TC_ACT_OK ? pop(skb, ETH_P_8021Q, EVERYBODY) : verdict;
}

char LICENSE[] SEC("license") = "Apache-2.0";
