// Parser: Ethernet, IPv6, at most one tunnel level, and a look at what is behind one extension header.
//
// One extension header of 8, 16 or 24 octets is looked through: 24 is a destination options header with a Home Address
// option, 24 is a type 2 routing header too. Anything longer leaves the extension header's own number as protocol; the
// signalling table punts those that are addressed to a home agent, and the controller reads chains of any length.
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
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        meta.upper.protocol = hdr.ipv6.next_header;
        transition select (hdr.ipv6.next_header) {
            PROTOCOL_IPV6: parse_inner_ipv6;
            PROTOCOL_DESTINATION_OPTIONS: check_tunnel_option;
            PROTOCOL_HOP_BY_HOP: look_through;
            PROTOCOL_ROUTING: look_through;
            default: look_at_upper;
        }
    }

    // An encapsulation limit stands between the outer and the inner header (RFC 2473 section 5.1).
    state check_tunnel_option {
        transition select (packet.lookahead<bit<16>>()) {
            PROTOCOL_IPV6 ++ 8w0: parse_tunnel_option;
            default: look_through;
        }
    }

    state parse_tunnel_option {
        packet.extract(hdr.tunnel_option);
        transition parse_inner_ipv6;
    }

    state parse_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        meta.upper.protocol = hdr.inner_ipv6.next_header;
        transition select (hdr.inner_ipv6.next_header) {
            PROTOCOL_HOP_BY_HOP: look_through;
            PROTOCOL_ROUTING: look_through;
            PROTOCOL_DESTINATION_OPTIONS: look_through;
            default: look_at_upper;
        }
    }

    state look_through {
        transition select (packet.lookahead<bit<16>>()[7:0]) {
            0: look_behind_8;
            1: look_behind_16;
            2: look_behind_24;
            default: accept;
        }
    }

    state look_behind_8 {
        meta.upper.protocol = packet.lookahead<bit<8>>();
        meta.upper.words = packet.lookahead<bit<128>>()[63:0];
        transition classify;
    }

    state look_behind_16 {
        meta.upper.protocol = packet.lookahead<bit<8>>();
        meta.upper.words = packet.lookahead<bit<192>>()[63:0];
        transition classify;
    }

    state look_behind_24 {
        meta.upper.protocol = packet.lookahead<bit<8>>();
        meta.upper.words = packet.lookahead<bit<256>>()[63:0];
        transition classify;
    }

    state look_at_upper {
        transition select (meta.upper.protocol) {
            PROTOCOL_TCP: look_at_words;
            PROTOCOL_UDP: look_at_words;
            PROTOCOL_SCTP: look_at_words;
            PROTOCOL_UDP_LITE: look_at_words;
            PROTOCOL_ICMPV6: look_at_words;
            PROTOCOL_MOBILITY: look_at_words;
            PROTOCOL_ESP: look_at_words;
            PROTOCOL_AH: look_at_words;
            default: accept;
        }
    }

    state look_at_words {
        meta.upper.words = packet.lookahead<bit<64>>();
        transition classify;
    }

    state classify {
        transition select (meta.upper.protocol) {
            PROTOCOL_TCP: read_ports;
            PROTOCOL_UDP: read_ports;
            PROTOCOL_SCTP: read_ports;
            PROTOCOL_UDP_LITE: read_ports;
            PROTOCOL_ICMPV6: read_icmp_type;
            PROTOCOL_MOBILITY: read_mh_type;
            PROTOCOL_ESP: read_esp_spi;
            PROTOCOL_AH: read_ah_spi;
            default: accept;
        }
    }

    state read_ports {
        meta.upper.source_port = meta.upper.words[63:48];
        meta.upper.destination_port = meta.upper.words[47:32];
        transition accept;
    }

    state read_icmp_type {
        meta.upper.icmp_type = meta.upper.words[63:56];
        transition accept;
    }

    state read_mh_type {
        meta.upper.mh_type = meta.upper.words[47:40];
        transition accept;
    }

    state read_esp_spi {
        meta.upper.spi = meta.upper.words[63:32];
        transition accept;
    }

    state read_ah_spi {
        meta.upper.spi = meta.upper.words[31:0];
        transition accept;
    }
}

#endif
