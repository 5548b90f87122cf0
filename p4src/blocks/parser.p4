// Parser: Ethernet, one VLAN tag, IPv6 or IPv4, at most one tunnel level, and a look at what is behind one extension header.
//
// One extension header of 8, 16 or 24 octets is looked behind: 24 is a destination options header with a Home Address
// option, 24 is a type 2 routing header too. Anything longer leaves the extension header's own number as protocol; the
// signalling table punts those that are addressed to a home agent, and the controller reads chains of any length.
//
// Of every fragment, the first one too, the ports are unknown: so all fragments of a packet take the same way (RFC 6089
// section 5.3.6), that of the flow binding which names no ports.
//
// Tofino's parser cannot overwrite: on each way through the states a field gets its value once.
#ifndef BLOCKS_PARSER_P4
#define BLOCKS_PARSER_P4

parser PacketParser(packet_in packet, inout headers_t hdr, inout metadata_t meta) {
    state start {
        packet.extract(hdr.ethernet);
        transition select (hdr.ethernet.ethertype) {
            ETHERTYPE_IPV6: choose_ipv6;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_VLAN: parse_vlan;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan);
        transition select (hdr.vlan.ethertype) {
            ETHERTYPE_IPV6: choose_ipv6;
            ETHERTYPE_IPV4: parse_ipv4;
            default: accept;
        }
    }

    // All that is chosen by an IPv6 header is chosen before it is extracted: Tofino's parser sees 32 octets at a time.
    state choose_ipv6 {
        ipv6_start_t seen = packet.lookahead<ipv6_start_t>();
        transition select (seen.next_header, seen.version, seen.source_start) {
            (_, 6, 0xff): refuse;
            (PROTOCOL_IPV6, 6, _): parse_outer_of_ipv6;
            (PROTOCOL_UDP, 6, _): parse_ipv6_with_ports;
            (PROTOCOL_TCP, 6, _): parse_ipv6_with_ports;
            (PROTOCOL_SCTP, 6, _): parse_ipv6_with_ports;
            (PROTOCOL_UDP_LITE, 6, _): parse_ipv6_with_ports;
            (PROTOCOL_IPV4, 6, _): parse_outer_of_ipv4;
            (PROTOCOL_ICMPV6, 6, _): choose_icmp;
            (PROTOCOL_MOBILITY, 6, _): parse_ipv6_with_mobility;
            (PROTOCOL_ESP, 6, _): parse_ipv6_with_esp;
            (PROTOCOL_AH, 6, _): parse_ipv6_with_ah;
            (PROTOCOL_DESTINATION_OPTIONS, 6, _): parse_ipv6_with_options;
            (PROTOCOL_ROUTING, 6, _): parse_ipv6_with_routing;
            (PROTOCOL_HOP_BY_HOP, 6, _): parse_ipv6_with_hop_by_hop;
            (PROTOCOL_FRAGMENT, 6, _): parse_fragmented_ipv6;
            (_, 6, _): parse_plain_ipv6;
            default: refuse;
        }
    }

    state refuse {
        meta.malformed = true;
        transition accept;
    }

    state parse_outer_of_ipv6 {
        packet.extract(hdr.ipv6);
        transition choose_inner_ipv6;
    }

    state parse_outer_of_ipv4 {
        packet.extract(hdr.ipv6);
        transition parse_inner_ipv4;
    }

    // An encapsulation limit stands between the outer and the inner header (RFC 2473 section 5.1).
    state parse_ipv6_with_options {
        packet.extract(hdr.ipv6);
        transition select (packet.lookahead<bit<16>>()) {
            PROTOCOL_IPV6 ++ 8w0: parse_ipv6_behind_option;
            PROTOCOL_IPV4 ++ 8w0: parse_ipv4_behind_option;
            default: parse_options;
        }
    }

    state parse_ipv6_behind_option {
        packet.extract(hdr.tunnel_option);
        meta.option_octets = TUNNEL_OPTION_OCTETS;
        transition choose_inner_ipv6;
    }

    state parse_ipv4_behind_option {
        packet.extract(hdr.tunnel_option);
        meta.option_octets = TUNNEL_OPTION_OCTETS;
        transition parse_inner_ipv4;
    }

    state parse_ipv6_with_routing {
        packet.extract(hdr.ipv6);
        transition parse_routing;
    }

    state parse_ipv6_with_hop_by_hop {
        packet.extract(hdr.ipv6);
        transition parse_hop_by_hop;
    }

    state parse_fragmented_ipv6 {
        packet.extract(hdr.ipv6);
        transition look_at_fragment;
    }

    state parse_plain_ipv6 {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = hdr.ipv6.next_header;
        transition accept;
    }

    state parse_ipv6_with_ports {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = hdr.ipv6.next_header;
        transition look_at_ports;
    }

    state parse_ipv6_with_mobility {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_MOBILITY;
        transition look_at_mobility;
    }

    state parse_ipv6_with_esp {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_ESP;
        transition look_at_esp;
    }

    state parse_ipv6_with_ah {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_AH;
        transition look_at_ah;
    }

    // A solicitation with no option or one of eight octets can be answered here.
    state choose_icmp {
        transition select (packet.lookahead<ipv6_start_t>().payload_length) {
            SOLICITATION_OCTETS: parse_ipv6_with_short_icmp;
            NEIGHBOUR_OCTETS: parse_ipv6_with_long_icmp;
            default: parse_ipv6_with_icmp;
        }
    }

    state parse_ipv6_with_short_icmp {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_ICMPV6;
        transition select (packet.lookahead<bit<8>>()) {
            ICMPV6_NEIGHBOR_SOLICITATION: parse_short_solicitation;
            default: look_at_icmp;
        }
    }

    state parse_short_solicitation {
        packet.extract(hdr.neighbour);
        meta.upper.icmp_type = ICMPV6_NEIGHBOR_SOLICITATION;
        transition accept;
    }

    state parse_ipv6_with_long_icmp {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_ICMPV6;
        transition select (packet.lookahead<bit<8>>()) {
            ICMPV6_NEIGHBOR_SOLICITATION: parse_long_solicitation;
            default: look_at_icmp;
        }
    }

    state parse_long_solicitation {
        packet.extract(hdr.neighbour);
        packet.extract(hdr.neighbour_option);
        meta.upper.icmp_type = ICMPV6_NEIGHBOR_SOLICITATION;
        transition accept;
    }

    state parse_ipv6_with_icmp {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = PROTOCOL_ICMPV6;
        transition look_at_icmp;
    }

    state choose_inner_ipv6 {
        meta.is_tunnel = true;
        ipv6_start_t seen = packet.lookahead<ipv6_start_t>();
        transition select (seen.next_header, seen.version, seen.source_start) {
            (_, 6, 0xff): refuse_inner;
            (PROTOCOL_UDP, 6, _): parse_inner_ipv6_with_ports;
            (PROTOCOL_TCP, 6, _): parse_inner_ipv6_with_ports;
            (PROTOCOL_SCTP, 6, _): parse_inner_ipv6_with_ports;
            (PROTOCOL_UDP_LITE, 6, _): parse_inner_ipv6_with_ports;
            (PROTOCOL_ICMPV6, 6, _): parse_inner_ipv6_with_icmp;
            (PROTOCOL_MOBILITY, 6, _): parse_inner_ipv6_with_mobility;
            (PROTOCOL_ESP, 6, _): parse_inner_ipv6_with_esp;
            (PROTOCOL_AH, 6, _): parse_inner_ipv6_with_ah;
            (PROTOCOL_DESTINATION_OPTIONS, 6, _): parse_inner_ipv6_with_options;
            (PROTOCOL_ROUTING, 6, _): parse_inner_ipv6_with_routing;
            (PROTOCOL_HOP_BY_HOP, 6, _): parse_inner_ipv6_with_hop_by_hop;
            (PROTOCOL_FRAGMENT, 6, _): parse_fragmented_inner_ipv6;
            (_, 6, _): parse_plain_inner_ipv6;
            default: refuse_inner;
        }
    }

    state refuse_inner {
        meta.inner_malformed = true;
        transition accept;
    }

    state parse_inner_ipv6_with_options {
        packet.extract(hdr.inner_ipv6);
        transition parse_options;
    }

    state parse_inner_ipv6_with_routing {
        packet.extract(hdr.inner_ipv6);
        transition parse_routing;
    }

    state parse_inner_ipv6_with_hop_by_hop {
        packet.extract(hdr.inner_ipv6);
        transition parse_hop_by_hop;
    }

    state parse_fragmented_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        transition look_at_fragment;
    }

    state parse_plain_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = hdr.inner_ipv6.next_header;
        transition accept;
    }

    state parse_inner_ipv6_with_ports {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = hdr.inner_ipv6.next_header;
        transition look_at_ports;
    }

    state parse_inner_ipv6_with_icmp {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = PROTOCOL_ICMPV6;
        transition look_at_icmp;
    }

    state parse_inner_ipv6_with_mobility {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = PROTOCOL_MOBILITY;
        transition look_at_mobility;
    }

    state parse_inner_ipv6_with_esp {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = PROTOCOL_ESP;
        transition look_at_esp;
    }

    state parse_inner_ipv6_with_ah {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = PROTOCOL_AH;
        transition look_at_ah;
    }

    state parse_inner_ipv4 {
        transition select (packet.lookahead<bit<64>>()[13:0]) {
            0: parse_whole_inner_ipv4;
            default: parse_fragmented_inner_ipv4;
        }
    }

    state parse_whole_inner_ipv4 {
        packet.extract(hdr.ipv4);
        meta.is_tunnel = true;
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse_inner;
            (4, 5, _): look_at_upper;
            default: refuse_inner;
        }
    }

    state parse_fragmented_inner_ipv4 {
        packet.extract(hdr.ipv4);
        meta.is_tunnel = true;
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse_inner;
            (4, 5, _): accept;
            default: refuse_inner;
        }
    }

    state parse_ipv4 {
        transition select (packet.lookahead<bit<64>>()[13:0]) {
            0: parse_whole_ipv4;
            default: parse_fragmented_ipv4;
        }
    }

    state parse_whole_ipv4 {
        packet.extract(hdr.ipv4);
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse;
            (4, 5, _): note_ipv4;
            (4, _, _): accept;      // with options: left alone, its header stays as it is
            default: refuse;
        }
    }

    state parse_fragmented_ipv4 {
        packet.extract(hdr.ipv4);
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse;
            (4, 5, _): note_ipv4_fragment;
            (4, _, _): accept;      // with options: left alone, its header stays as it is
            default: refuse;
        }
    }

    state note_ipv4 {
        meta.is_ipv4 = 1;
        transition look_at_upper;
    }

    state note_ipv4_fragment {
        meta.is_ipv4 = 1;
        transition accept;
    }

    // Four octets of padding, then the option and its length: its alignment is 8n+6 (RFC 6275 section 6.3).
    state parse_options {
        transition select (packet.lookahead<bit<16>>()[7:0], packet.lookahead<bit<64>>()[15:0]) {
            (2, 0xc910): note_home_address;
            (0, _): parse_extension_8;
            (1, _): parse_extension_16;
            (2, _): parse_extension_24;
            default: leave_options;
        }
    }

    state note_home_address {
        meta.upper.home_address = 1;
        transition parse_extension_24;
    }

    state leave_options {
        meta.upper.protocol = PROTOCOL_DESTINATION_OPTIONS;
        transition accept;
    }

    state parse_routing {
        transition select (packet.lookahead<bit<16>>()[7:0]) {
            0: parse_extension_8;
            1: parse_extension_16;
            2: parse_extension_24;
            default: leave_routing;
        }
    }

    state leave_routing {
        meta.upper.protocol = PROTOCOL_ROUTING;
        transition accept;
    }

    // Longer ones are left with their own number, which is zero.
    state parse_hop_by_hop {
        transition select (packet.lookahead<bit<16>>()[7:0]) {
            0: parse_extension_8;
            1: parse_extension_16;
            2: parse_extension_24;
            default: accept;
        }
    }

    state parse_extension_8 {
        transition select (packet.lookahead<bit<8>>()) {
            PROTOCOL_FRAGMENT: skip_extension_8;
            default: note_extension_8;
        }
    }

    state skip_extension_8 {
        packet.extract(hdr.extension);
        transition look_at_fragment;
    }

    state note_extension_8 {
        packet.extract(hdr.extension);
        meta.upper.protocol = hdr.extension.next_header;
        transition look_at_upper;
    }

    state parse_extension_16 {
        transition select (packet.lookahead<bit<8>>()) {
            PROTOCOL_FRAGMENT: skip_extension_16;
            default: note_extension_16;
        }
    }

    state skip_extension_16 {
        packet.extract(hdr.extension);
        packet.extract(hdr.extension_16);
        transition look_at_fragment;
    }

    state note_extension_16 {
        packet.extract(hdr.extension);
        packet.extract(hdr.extension_16);
        meta.upper.protocol = hdr.extension.next_header;
        transition look_at_upper;
    }

    state parse_extension_24 {
        transition select (packet.lookahead<bit<8>>()) {
            PROTOCOL_FRAGMENT: skip_extension_24;
            default: note_extension_24;
        }
    }

    state skip_extension_24 {
        packet.extract(hdr.extension);
        packet.extract(hdr.extension_16);
        packet.extract(hdr.extension_24);
        transition look_at_fragment;
    }

    state note_extension_24 {
        packet.extract(hdr.extension);
        packet.extract(hdr.extension_16);
        packet.extract(hdr.extension_24);
        meta.upper.protocol = hdr.extension.next_header;
        transition look_at_upper;
    }

    state look_at_upper {
        transition select (meta.upper.protocol) {
            PROTOCOL_TCP: look_at_ports;
            PROTOCOL_UDP: look_at_ports;
            PROTOCOL_SCTP: look_at_ports;
            PROTOCOL_UDP_LITE: look_at_ports;
            PROTOCOL_ICMPV6: look_at_icmp;
            PROTOCOL_MOBILITY: look_at_mobility;
            PROTOCOL_ESP: look_at_esp;
            PROTOCOL_AH: look_at_ah;
            default: accept;
        }
    }

    state look_at_ports {
        meta.upper.source_port = packet.lookahead<bit<16>>();
        meta.upper.destination_port = packet.lookahead<bit<32>>()[15:0];
        transition accept;
    }

    state look_at_icmp {
        meta.upper.icmp_type = packet.lookahead<bit<8>>();
        transition accept;
    }

    state look_at_mobility {
        meta.upper.mh_type = packet.lookahead<bit<24>>()[7:0];
        transition accept;
    }

    state look_at_esp {
        NOTE_SPI(packet.lookahead<bit<32>>())
        transition accept;
    }

    state look_at_ah {
        NOTE_SPI(packet.lookahead<bit<64>>()[31:0])
        transition accept;
    }

    state look_at_fragment {
        meta.upper.protocol = packet.lookahead<bit<64>>()[63:56];
        transition accept;
    }
}

#endif
