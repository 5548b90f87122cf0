// What travels from ingress to egress.
#ifndef TNA_BRIDGE_P4
#define TNA_BRIDGE_P4

// In front of every packet from ingress to egress, and of copies as far as their next ingress.
BRIDGE bridge_t {
    bit<8>         forwarded;        // one hop less
    bit<8>         encapsulated;     // gets an outer header
    bit<8>         verdict;          // of the policer of reports: DROP if there is none
    bit<8>         report_colour;
    bit<8>         drop_reason;      // why, then
    bit<8>         flow_hash_high;
    bit<16>        flow_hash_low;
    node_id_t      node_id;
    bid_t          bid;
    mtu_t          octets;           // that the frame must have for the lengths in its headers to be true
    ipv6_address_t tunnel_source;
    ipv6_address_t destination;
}

#endif
