// Headers on the wire, headers to and from the controller, and what travels beside a packet.
#ifndef COMMON_HEADERS_P4
#define COMMON_HEADERS_P4

#include "types.p4"

header ethernet_t {
    mac_address_t destination;
    mac_address_t source;
    bit<16>       ethertype;
}

header ipv6_t {
    bit<4>         version;
    bit<8>         traffic_class;
    bit<20>        flow_label;
    bit<16>        payload_length;
    bit<8>         next_header;
    bit<8>         hop_limit;
    ipv6_address_t source;
    ipv6_address_t destination;
}

// The shortest destination options header: room for a tunnel encapsulation limit (RFC 2473 section 4.1.1).
header tunnel_option_t {
    bit<8>  next_header;
    bit<8>  length;
    bit<48> options;
}

// Sent with a packet to the controller.
@controller_header("packet_in")
header packet_in_t {
    bit<16> ingress_port;
    bit<8>  reason;
}

// Sent with a packet by the controller.
@controller_header("packet_out")
header packet_out_t {
    bit<16> egress_port;
    bit<8>  routed;         // 1: find port and MAC addresses by destination; 0: send as it is to egress_port
}

struct headers_t {
    packet_out_t    packet_out;
    packet_in_t     packet_in;
    ethernet_t      ethernet;
    ipv6_t          tunnel_ipv6;     // put in front by us
    ipv6_t          ipv6;            // outermost of the packet as received, or the inner one once that was taken off
    tunnel_option_t tunnel_option;
    ipv6_t          inner_ipv6;      // as received, where ipv6.next_header says IPv6
    // Extension and upper-layer headers are looked at, never extracted: they stay in the payload, whatever happens in front.
}

// What flow bindings and the signalling table know of the part behind the IPv6 and extension headers. Zero where unknown.
struct upper_layer_t {
    bit<8>  protocol;
    bit<64> words;           // its first eight octets
    bit<16> source_port;
    bit<16> destination_port;
    bit<8>  icmp_type;
    bit<8>  mh_type;
    bit<32> spi;
}

struct metadata_t {
    verdict_t      verdict;
    drop_reason_t  drop_reason;
    punt_reason_t  punt_reason;
    bool           parser_failed;
    bool           from_controller;    // only to be routed
    bit<32>        frame_octets;       // length of the received frame
    upper_layer_t  upper;              // of the packet as received; of the inner one where ipv6.next_header says IPv6
    bool           own_address;
    path_id_t      path_id;
    bool           mobile;             // the destination is a mobile node or behind one
    node_id_t      node_id;
    bid_t          bid;
    bool           delivered;          // the egress port and the MAC addresses stand already
    ipv6_address_t route_to;           // outermost destination
    next_hop_id_t  next_hop_id;
    port_t         egress_port;
    bit<20>        flow_hash;
    bit<2>         signalling_colour;
    bit<2>         tunnel_colour;
}

#endif
