// The home agent's data plane for Tofino and Tofino 2.
#include <core.p4>
#if __TARGET_TOFINO__ == 2
#include <t2na.p4>
#else
#include <tna.p4>
#endif

#include "target.p4"
#include "../common/sizes.p4"
#include "../common/types.p4"
#include "bridge.p4"
#include "findings.p4"
#include "../common/headers.p4"
#include "../blocks/parser.p4"
#include "pipeline.p4"

@pa_container_size("ingress", "meta.source", 32)
@pa_container_size("ingress", "meta.destination", 32)
@pa_container_size("ingress", "meta.interface_address", 32)
@pa_container_size("ingress", "hdr.packet.ipv6.source", 32)
@pa_container_size("ingress", "hdr.packet.ipv6.destination", 32)
@pa_container_size("ingress", "hdr.packet.inner_ipv6.source", 32)
@pa_container_size("ingress", "hdr.packet.inner_ipv6.destination", 32)
@pa_container_size("ingress", "hdr.packet.neighbour.target", 32)
@pa_container_size("ingress", "hdr.bridge.destination", 32)
@pa_container_size("egress", "hdr.packet.ipv6.source", 32)
@pa_container_size("egress", "hdr.packet.ipv6.destination", 32)
@pa_container_size("egress", "hdr.packet.tunnel_ipv6.source", 32)
@pa_container_size("egress", "hdr.packet.tunnel_ipv6.destination", 32)
@pa_container_size("egress", "meta.tunnel_source", 32)
@pa_container_size("egress", "hdr.bridge.destination", 32)
@pa_auto_init_metadata
struct shell_headers_t {
    bridge_t  bridge;
    headers_t packet;
}

parser ShellParser(packet_in packet, out shell_headers_t hdr, out metadata_t meta, out ingress_intrinsic_metadata_t standard) {
    PacketParser() packet_parser;

    state start {
        packet.extract(standard);
        packet.advance(PORT_METADATA_SIZE);
        meta.ingress_port = standard.ingress_port;
        meta.header_octets = IPV6_HEADER_OCTETS;
        meta.header_last = IPV6_HEADER_OCTETS - 1;
        transition select (standard.ingress_port) {
            CPU_PORT: parse_packet_out;
            COPY_PORT: parse_bridge;
            default: parse_packet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet.packet_out);
        meta.from_controller = true;
        transition parse_packet;
    }

    state parse_bridge {
        packet.extract(hdr.bridge);
        meta.is_copy = true;
        meta.node_id = hdr.bridge.node_id;
        meta.bid = hdr.bridge.bid;
        transition parse_packet;
    }

    state parse_packet {
        packet_parser.apply(packet, hdr.packet, meta);
        transition accept;
    }
}

control ShellIngress(
        inout shell_headers_t                           hdr,
        inout metadata_t                                meta,
        in    ingress_intrinsic_metadata_t              standard,
        in    ingress_intrinsic_metadata_from_parser_t  parsed,
        inout ingress_intrinsic_metadata_for_deparser_t deparsed,
        inout ingress_intrinsic_metadata_for_tm_t       manager) {
    ChipIngress() ingress;

    apply {
        if (parsed.parser_err != 0) {
            meta.malformed = true;
        }
        hdr.bridge.setValid();
        ingress.apply(hdr.bridge, hdr.packet, meta, deparsed, manager);
    }
}

control ShellIngressDeparser(
        packet_out packet, inout shell_headers_t hdr, in metadata_t meta,
        in ingress_intrinsic_metadata_for_deparser_t deparsed) {
    Checksum() neighbour_checksum;

    apply {
        if (meta.answered) {
            hdr.packet.neighbour.checksum = neighbour_checksum.update({
                hdr.packet.ipv6.source, hdr.packet.ipv6.destination, hdr.packet.ipv6.payload_length, 8w0,
                hdr.packet.ipv6.next_header, hdr.packet.neighbour.type, hdr.packet.neighbour.code,
                hdr.packet.neighbour.flags, hdr.packet.neighbour.target, hdr.packet.neighbour_option.type,
                hdr.packet.neighbour_option.length, hdr.packet.neighbour_option.link_layer });
        }
        packet.emit(hdr.bridge);
        packet.emit(hdr.packet.packet_in);
        packet.emit(hdr.packet.ethernet);
        packet.emit(hdr.packet.vlan);
        packet.emit(hdr.packet.ipv6);
        packet.emit(hdr.packet.tunnel_option);
        packet.emit(hdr.packet.inner_ipv6);
        packet.emit(hdr.packet.ipv4);
        packet.emit(hdr.packet.extension);
        packet.emit(hdr.packet.extension_16);
        packet.emit(hdr.packet.extension_24);
        packet.emit(hdr.packet.neighbour);
        packet.emit(hdr.packet.neighbour_option);
    }
}

parser ShellEgressParser(
        packet_in packet, out shell_headers_t hdr, out metadata_t meta, out egress_intrinsic_metadata_t standard) {
    state start {
        packet.extract(standard);
        packet.extract(hdr.bridge);
        transition select (hdr.bridge.forwarded, hdr.bridge.encapsulated) {
            (0, 0): accept;
            default: parse_ethernet;
        }
    }

    state parse_ethernet {
        packet.extract(hdr.packet.ethernet);
        transition select (hdr.packet.ethernet.ethertype) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4;
            default: parse_ipv6;
        }
    }

    state parse_vlan {
        packet.extract(hdr.packet.vlan);
        transition select (hdr.packet.vlan.ethertype) {
            ETHERTYPE_IPV4: parse_ipv4;
            default: parse_ipv6;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.packet.ipv6);
        transition accept;
    }

    state parse_ipv4 {
        packet.extract(hdr.packet.ipv4);
        transition accept;
    }
}

control ShellEgress(
        inout shell_headers_t                              hdr,
        inout metadata_t                                   meta,
        in    egress_intrinsic_metadata_t                  standard,
        in    egress_intrinsic_metadata_from_parser_t      parsed,
        inout egress_intrinsic_metadata_for_deparser_t     deparsed,
        inout egress_intrinsic_metadata_for_output_port_t  port) {
    ChipEgress() egress;

    apply {
        egress.apply(hdr.bridge, hdr.packet, meta, standard.pkt_length, standard.egress_rid, deparsed.drop_ctl);
        if (standard.egress_rid == 0) {
            hdr.bridge.setInvalid();
        }
    }
}

control ShellEgressDeparser(
        packet_out packet, inout shell_headers_t hdr, in metadata_t meta,
        in egress_intrinsic_metadata_for_deparser_t deparsed) {
    Checksum() ipv4_checksum;

    apply {
        if (hdr.packet.ipv4.isValid()) {
            hdr.packet.ipv4.checksum = ipv4_checksum.update({
                hdr.packet.ipv4.version, hdr.packet.ipv4.header_words, hdr.packet.ipv4.traffic_class,
                hdr.packet.ipv4.total_length, hdr.packet.ipv4.identification, hdr.packet.ipv4.flags,
                hdr.packet.ipv4.fragment_offset, hdr.packet.ipv4.time_to_live, hdr.packet.ipv4.protocol,
                hdr.packet.ipv4.source, hdr.packet.ipv4.destination });
        }
        packet.emit(hdr.bridge);
        packet.emit(hdr.packet.ethernet);
        packet.emit(hdr.packet.vlan);
        packet.emit(hdr.packet.tunnel_ipv6);
        packet.emit(hdr.packet.ipv6);
        packet.emit(hdr.packet.ipv4);
    }
}

Pipeline(
    ShellParser(), ShellIngress(), ShellIngressDeparser(), ShellEgressParser(), ShellEgress(), ShellEgressDeparser()) pipe;

Switch(pipe) main;
