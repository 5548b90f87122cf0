// What travels from ingress to egress.
#ifndef TNA_BRIDGE_P4
#define TNA_BRIDGE_P4

// In front of every packet from ingress to egress, and of copies as far as their next ingress.
BRIDGE bridge_t {
    bit<8>         forwarded;        // one hop less
    bit<8>         encapsulated;     // gets an outer header
    bit<8>         verdict;          // egress drops and counts it, or has the policer of reports decide
    bit<8>         drop_reason;      // why, then
    bit<8>         punt_reason;      // which policer
    bit<8>         unwrapped;        // came through a tunnel that ends here
    home_agent_id_t home_agent_id;   // in whose name the tunnel begins
    bit<8>         flow_hash_high;
    bit<16>        flow_hash_low;
    path_id_t      path_id;          // of that tunnel
    node_id_t      source_node;      // who sent it, by the inner source
    node_id_t      node_id;
    bid_t          bid;
    mtu_t          octets;           // that the frame must have for the lengths in its headers to be true
    ipv6_address_t destination;
}

#endif
