// Headers on the wire, headers to and from the controller, and what travels beside a packet.
#ifndef COMMON_HEADERS_P4
#define COMMON_HEADERS_P4

#include "types.p4"

header ethernet_t {
    mac_address_t destination;
    mac_address_t source;
    bit<16>       ethertype;
}

header vlan_t {
    bit<16> tag;
    bit<16> ethertype;
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

// The beginning of an IPv6 header, as far as parsers choose by it.
struct ipv6_start_t {
    bit<4>  version;
    bit<28> class_and_label;
    bit<16> payload_length;
    bit<8>  next_header;
    bit<8>  hop_limit;
    bit<8>  source_start;
}

header ipv4_t {
    bit<4>  version;
    bit<4>  header_words;
    bit<8>  traffic_class;
    bit<16> total_length;
    bit<16> identification;
    bit<3>  flags;
    bit<13> fragment_offset;
    bit<8>  time_to_live;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

// The shortest destination options header: room for a tunnel encapsulation limit (RFC 2473 section 4.1.1).
header tunnel_option_t {
    bit<8>  next_header;
    bit<8>  length;
    bit<48> options;
}

// One extension header of up to 24 octets, in three parts of eight.
header extension_t {
    bit<8>  next_header;
    bit<8>  length;
    bit<48> content;
}

header extension_part_t {
    bit<64> content;
}

// A Neighbor Solicitation or Advertisement, RFC 4861 sections 4.3 and 4.4.
header neighbour_t {
    bit<8>         type;
    bit<8>         code;
    bit<16>        checksum;
    bit<32>        flags;           // R, S, O and 29 reserved bits
    ipv6_address_t target;
}

header neighbour_option_t {
    bit<8>        type;
    bit<8>        length;
    mac_address_t link_layer;
}

// Sent with a packet to the controller.
@controller_header("packet_in")
header packet_in_t {
    bit<16> ingress_port;
    bit<8>  reason;
    mtu_t   mtu;            // of the way that is too narrow, where that is the reason
}

// Sent with a packet by the controller.
@controller_header("packet_out")
header packet_out_t {
    bit<16> egress_port;
    bit<8>  routed;         // 1: find port and MAC addresses by destination; 0: send as it is to egress_port
}

// A VLAN tag stays where it is, and with it the packet's type behind it.
#define SET_ETHERTYPE(type)  if (hdr.vlan.isValid()) { hdr.vlan.ethertype = type; } else { hdr.ethernet.ethertype = type; }

struct headers_t {
    packet_out_t       packet_out;
    packet_in_t        packet_in;
    ethernet_t         ethernet;
    vlan_t             vlan;
    ipv6_t             tunnel_ipv6;       // put in front by us
    ipv6_t             ipv6;              // outermost of the packet as received
    tunnel_option_t    tunnel_option;
    ipv6_t             inner_ipv6;        // as received, where ipv6.next_header says IPv6; the packet once ipv6 was taken off
    ipv4_t             ipv4;              // as received: behind ipv6, where that says IPv4, or by itself
    extension_t        extension;         // the one that we look behind
    extension_part_t   extension_16;
    extension_part_t   extension_24;
    neighbour_t        neighbour;
    neighbour_option_t neighbour_option;
    // Upper-layer headers are looked at, never extracted: they stay in the payload, whatever happens in front.
}

// What flow bindings and the signalling table know of the part behind the IP and extension headers. Zero where unknown.
struct upper_layer_t {
    bit<8>  protocol;
    bit<16> source_port;
    bit<16> destination_port;
    bit<8>  icmp_type;
    bit<8>  mh_type;
    bit<32> spi;
    bit<1>  home_address;    // a Home Address option stands before it
}

// What a copy of a packet takes along to its second pass.
#define COPY_FIELDS 1

struct metadata_t {
    verdict_t       verdict;
    drop_reason_t   drop_reason;
    punt_reason_t   punt_reason;
    FINDINGS
    bool            malformed;
    bool            inner_malformed;     // matters only to whoever takes the inner packet out
    bool            from_controller;     // only to be routed
    bool            is_copy;             // came from us, to be sent to one BID
    port_t          ingress_port;
    upper_layer_t   upper;               // of the packet as received; of the inner one where ipv6.next_header says IP
    bool            is_tunnel;           // there is an inner packet
    mtu_t           option_octets;       // of the tunnel's option
    bool            own_address;
    home_agent_id_t home_agent_id;
    ipv6_address_t  source;              // of the packet that is forwarded: the inner one, if the tunnel ends here
    ipv6_address_t  destination;         // the same; from encapsulation on the outermost one
    bit<1>          is_ipv4;             // the packet that is forwarded
    bit<8>          traffic_class;
    bit<20>         flow_label;
    bit<8>          hop_limit;
    mtu_t           octets;              // its length, its header included
    mtu_t           last;                // the same less one, with the outer header: it fits into an MTU if something is left of that
    path_id_t       path_id;
    node_id_t       source_node;
    bool            mobile;              // the destination is a mobile node or behind one
    @field_list(COPY_FIELDS)
    node_id_t       node_id;
    @field_list(COPY_FIELDS)
    bid_t           bid;
    balance_id_t    balance_id;
    group_id_t      group_id;
    bool            encapsulated;
    ipv6_address_t  tunnel_source;
    bool            delivered;           // the egress port and the MAC addresses stand already
    next_hop_id_t   next_hop_id;
    port_t          egress_port;
    mtu_t           tunnel_mtu;
    mtu_t           tunnel_room;         // 0: too long for the tunnel, and for the next hop
    mtu_t           next_mtu;
    mtu_t           next_room;
    mtu_t           reported_mtu;        // the narrowest that it would have to pass
    bit<20>         flow_hash;
    colour_t        signalling_colour;
    colour_t        tunnel_colour;
    colour_t        report_colour;
    bool            interface_known;
    home_agent_id_t interface_home;      // the home link behind the ingress port; 0: none
    mac_address_t   interface_mac;
    ipv6_address_t  interface_address;
    bool            answerable;          // the target of a solicitation is ours, or a node's
    home_agent_id_t home_difference;     // 0: of the home link behind the ingress port
    bool            forwarded_question;  // a solicitation that does not come from the link
    bool            wrong_question;
    bool            answered;            // a solicitation that needs nobody else
    bit<32>         answer_flags;
}

#endif
