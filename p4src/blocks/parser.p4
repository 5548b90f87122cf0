// Parser: Ethernet, one VLAN tag, IPv6 or IPv4, at most one tunnel level, and a look at what is behind one extension header.
//
// One extension header of 8, 16 or 24 octets is looked behind: 24 is a destination options header with a Home Address
// option, 24 is a type 2 routing header too. Anything longer leaves the extension header's own number as protocol; the
// signalling table punts those that are addressed to a home agent, and the controller reads chains of any length.
//
// Of every fragment, the first one too, the ports are unknown: so all fragments of a packet take the same way (RFC 6089
// section 5.3.6), that of the flow binding which names no ports.
#ifndef BLOCKS_PARSER_P4
#define BLOCKS_PARSER_P4

parser PacketParser(packet_in packet, out headers_t hdr, inout metadata_t meta, in bool from_controller) {
    state start {
        transition select (from_controller) {
            true: parse_packet_out;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select (hdr.ethernet.ethertype) {
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_VLAN: parse_vlan;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan);
        transition select (hdr.vlan.ethertype) {
            ETHERTYPE_IPV6: parse_ipv6;
            ETHERTYPE_IPV4: parse_ipv4;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        meta.source = hdr.ipv6.source;
        meta.destination = hdr.ipv6.destination;
        meta.upper.protocol = hdr.ipv6.next_header;
        transition select (hdr.ipv6.version, hdr.ipv6.source[127:120]) {
            (6, 0xff): refuse;
            (6, _): behind_ipv6;
            default: refuse;
        }
    }

    state refuse {
        meta.malformed = true;
        transition accept;
    }

    state behind_ipv6 {
        transition select (hdr.ipv6.next_header) {
            PROTOCOL_IPV6: parse_inner_ipv6;
            PROTOCOL_IPV4: parse_inner_ipv4;
            PROTOCOL_DESTINATION_OPTIONS: check_tunnel_option;
            PROTOCOL_HOP_BY_HOP: parse_extension;
            PROTOCOL_ROUTING: parse_extension;
            PROTOCOL_ICMPV6: parse_icmp;
            default: look_at_upper;
        }
    }

    // An encapsulation limit stands between the outer and the inner header (RFC 2473 section 5.1).
    state check_tunnel_option {
        transition select (packet.lookahead<bit<16>>()) {
            PROTOCOL_IPV6 ++ 8w0: parse_tunnel_option;
            PROTOCOL_IPV4 ++ 8w0: parse_tunnel_option;
            default: parse_extension;
        }
    }

    state parse_tunnel_option {
        packet.extract(hdr.tunnel_option);
        transition select (hdr.tunnel_option.next_header) {
            PROTOCOL_IPV6: parse_inner_ipv6;
            default: parse_inner_ipv4;
        }
    }

    state parse_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        meta.is_tunnel = true;
        meta.inner_source = hdr.inner_ipv6.source;
        meta.inner_destination = hdr.inner_ipv6.destination;
        meta.upper.protocol = hdr.inner_ipv6.next_header;
        transition select (hdr.inner_ipv6.version, hdr.inner_ipv6.source[127:120]) {
            (6, 0xff): refuse_inner;
            (6, _): behind_inner_ipv6;
            default: refuse_inner;
        }
    }

    state refuse_inner {
        meta.inner_malformed = true;
        transition accept;
    }

    state behind_inner_ipv6 {
        transition select (hdr.inner_ipv6.next_header) {
            PROTOCOL_HOP_BY_HOP: parse_extension;
            PROTOCOL_ROUTING: parse_extension;
            PROTOCOL_DESTINATION_OPTIONS: parse_extension;
            default: look_at_upper;
        }
    }

    state parse_inner_ipv4 {
        packet.extract(hdr.ipv4);
        meta.is_tunnel = true;
        meta.inner_source = MAPPED(hdr.ipv4.source);
        meta.inner_destination = MAPPED(hdr.ipv4.destination);
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse_inner;
            (4, 5, _): behind_ipv4;
            default: refuse_inner;
        }
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        meta.is_ipv4 = 1;
        meta.source = MAPPED(hdr.ipv4.source);
        meta.destination = MAPPED(hdr.ipv4.destination);
        meta.upper.protocol = hdr.ipv4.protocol;
        transition select (hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.source[31:28]) {
            (4, 5, 0xe): refuse;
            (4, 5, _): behind_ipv4;
            (4, _, _): skip_ipv4;
            default: refuse;
        }
    }

    // With options: left alone. Its header stays in the frame, as of anything that is not ours to forward.
    state skip_ipv4 {
        meta.is_ipv4 = 0;
        transition accept;
    }

    state behind_ipv4 {
        transition select (hdr.ipv4.flags[0:0], hdr.ipv4.fragment_offset) {
            (0, 0): look_at_upper;
            default: accept;
        }
    }

    state parse_extension {
        packet.extract(hdr.extension);
        transition select (hdr.extension.length) {
            0: behind_extension;
            1: parse_extension_16;
            2: parse_extension_24;
            default: accept;
        }
    }

    state parse_extension_16 {
        packet.extract(hdr.extension_16);
        transition behind_extension;
    }

    state parse_extension_24 {
        packet.extract(hdr.extension_16);
        packet.extract(hdr.extension_24);
        transition select (meta.upper.protocol, hdr.extension.content) {
            // Four octets of padding, then the option and its length: its alignment is 8n+6 (RFC 6275 section 6.3).
            (PROTOCOL_DESTINATION_OPTIONS, 0xc910 &&& 0xffff): note_home_address;
            default: behind_extension;
        }
    }

    state note_home_address {
        meta.upper.home_address = 1;
        transition behind_extension;
    }

    state behind_extension {
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
            PROTOCOL_FRAGMENT: look_at_fragment;
            default: accept;
        }
    }

    state look_at_ports {
        meta.upper.source_port = packet.lookahead<bit<16>>();
        meta.upper.destination_port = packet.lookahead<bit<32>>()[15:0];
        transition accept;
    }

    // A solicitation with no option or one of eight octets can be answered here.
    state parse_icmp {
        transition select (packet.lookahead<bit<8>>(), hdr.ipv6.payload_length) {
            (ICMPV6_NEIGHBOR_SOLICITATION, SOLICITATION_OCTETS): parse_solicitation;
            (ICMPV6_NEIGHBOR_SOLICITATION, NEIGHBOUR_OCTETS): parse_solicitation;
            default: look_at_icmp;
        }
    }

    state parse_solicitation {
        packet.extract(hdr.neighbour);
        meta.upper.icmp_type = hdr.neighbour.type;
        transition select (hdr.ipv6.payload_length) {
            NEIGHBOUR_OCTETS: parse_neighbour_option;
            default: accept;
        }
    }

    state parse_neighbour_option {
        packet.extract(hdr.neighbour_option);
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
        meta.upper.spi = packet.lookahead<bit<32>>();
        transition accept;
    }

    state look_at_ah {
        meta.upper.spi = packet.lookahead<bit<64>>()[31:0];
        transition accept;
    }

    state look_at_fragment {
        meta.upper.protocol = packet.lookahead<bit<64>>()[63:56];
        transition accept;
    }
}

#endif
