// Parser, checksums and deparser of a program for BMv2 and the embedded switch.
#ifndef V1MODEL_SHELL_P4
#define V1MODEL_SHELL_P4

#include "../blocks/parser.p4"

const bit<32> INSTANCE_RECIRCULATED = 4;    // of standard_metadata.instance_type, as simple_switch numbers them

@noWarn("uninitialized-use")    // headers are invalid until they are extracted
parser ShellParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    PacketParser() packet_parser;

    state start {
        transition select (standard.ingress_port == CPU_PORT && standard.instance_type == 0) {
            true: parse_packet_out;
            default: parse_packet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_packet;
    }

    state parse_packet {
        packet_parser.apply(packet, hdr, meta);
        transition accept;
    }
}

control ShellVerify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid() && hdr.ipv4.header_words == 5,
            { hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.traffic_class, hdr.ipv4.total_length,
              hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.time_to_live,
              hdr.ipv4.protocol, hdr.ipv4.source, hdr.ipv4.destination },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.neighbour.isValid() && !hdr.neighbour_option.isValid(),
            { hdr.ipv6.source, hdr.ipv6.destination, hdr.ipv6.payload_length, 8w0, hdr.ipv6.next_header,
              hdr.neighbour.type, hdr.neighbour.code, hdr.neighbour.flags, hdr.neighbour.target },
            hdr.neighbour.checksum, HashAlgorithm.csum16);
        verify_checksum(hdr.neighbour_option.isValid(),
            { hdr.ipv6.source, hdr.ipv6.destination, hdr.ipv6.payload_length, 8w0, hdr.ipv6.next_header,
              hdr.neighbour.type, hdr.neighbour.code, hdr.neighbour.flags, hdr.neighbour.target,
              hdr.neighbour_option.type, hdr.neighbour_option.length, hdr.neighbour_option.link_layer },
            hdr.neighbour.checksum, HashAlgorithm.csum16);
    }
}

control ShellUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid() && hdr.ipv4.header_words == 5,
            { hdr.ipv4.version, hdr.ipv4.header_words, hdr.ipv4.traffic_class, hdr.ipv4.total_length,
              hdr.ipv4.identification, hdr.ipv4.flags, hdr.ipv4.fragment_offset, hdr.ipv4.time_to_live,
              hdr.ipv4.protocol, hdr.ipv4.source, hdr.ipv4.destination },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        update_checksum(meta.answered,
            { hdr.ipv6.source, hdr.ipv6.destination, hdr.ipv6.payload_length, 8w0, hdr.ipv6.next_header,
              hdr.neighbour.type, hdr.neighbour.code, hdr.neighbour.flags, hdr.neighbour.target,
              hdr.neighbour_option.type, hdr.neighbour_option.length, hdr.neighbour_option.link_layer },
            hdr.neighbour.checksum, HashAlgorithm.csum16);
    }
}

control ShellDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.vlan);
        packet.emit(hdr.tunnel_ipv6);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.tunnel_option);
        packet.emit(hdr.inner_ipv6);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.extension);
        packet.emit(hdr.extension_16);
        packet.emit(hdr.extension_24);
        packet.emit(hdr.neighbour);
        packet.emit(hdr.neighbour_option);
    }
}

#endif
