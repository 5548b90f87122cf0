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
#include "../common/headers.p4"
#include "../blocks/parser.p4"
#include "bridge.p4"
#include "lengths.p4"
#include "pipeline.p4"
#include "judgement.p4"

@pa_container_size("ingress", "meta.source", 32)
@pa_container_size("ingress", "meta.destination", 32)
@pa_container_size("ingress", "meta.interface_address", 32)
@pa_container_size("ingress", "meta.tunnel_source", 32)
@pa_container_size("ingress", "hdr.packet.ipv6.source", 32)
@pa_container_size("ingress", "hdr.packet.ipv6.destination", 32)
@pa_container_size("ingress", "hdr.packet.inner_ipv6.source", 32)
@pa_container_size("ingress", "hdr.packet.inner_ipv6.destination", 32)
@pa_container_size("ingress", "hdr.packet.neighbour.target", 32)
@pa_container_size("ingress", "hdr.bridge.tunnel_source", 32)
@pa_container_size("ingress", "hdr.bridge.destination", 32)
@pa_container_size("egress", "hdr.packet.ipv6.source", 32)
@pa_container_size("egress", "hdr.packet.ipv6.destination", 32)
@pa_container_size("egress", "hdr.packet.tunnel_ipv6.source", 32)
@pa_container_size("egress", "hdr.packet.tunnel_ipv6.destination", 32)
@pa_container_size("egress", "hdr.bridge.tunnel_source", 32)
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
    HomeAgent()     home_agent;
    LateJudgement() late;
    Reports()       reports;

    @id(0x12000001) Counter<bit<64>, bit<8>>(COUNT_DROP_REASONS, CounterType_t.PACKETS_AND_BYTES) drops;

    apply {
        meta.ingress_port = standard.ingress_port;
        if (parsed.parser_err != 0) {
            meta.malformed = true;
        }
        hdr.bridge.setValid();
        hdr.bridge.forwarded = 0;
        hdr.bridge.encapsulated = 0;
        hdr.bridge.octets = 0;
        hdr.bridge.verdict = 0;
        hdr.bridge.report_colour = 0;
        hdr.bridge.drop_reason = 0;
        if (hdr.packet.packet_out.isValid() && hdr.packet.packet_out.routed == 0) {
            manager.ucast_egress_port = (port_t)hdr.packet.packet_out.egress_port;
        } else {
            home_agent.apply(hdr.packet, meta);
            hdr.bridge.octets = meta.frame_octets;
            hdr.bridge.flow_hash_high = 4w0 ++ meta.flow_hash[19:16];
            hdr.bridge.flow_hash_low = meta.flow_hash[15:0];
            hdr.bridge.node_id = meta.node_id;
            hdr.bridge.bid = meta.bid;
            hdr.bridge.tunnel_source = meta.tunnel_source;
            hdr.bridge.destination = meta.destination;
            hdr.packet.packet_in.ingress_port = (bit<16>)meta.ingress_port;
            if (meta.encapsulated) {
                hdr.bridge.encapsulated = 1;
            }
            late.apply(hdr.bridge, hdr.packet, meta, deparsed, manager);
            if (meta.verdict == verdict_t.DROP) {
                drops.count((bit<8>)meta.drop_reason);
            } else if (meta.verdict == verdict_t.REPORT) {
                reports.apply(hdr.packet, meta);
                hdr.bridge.verdict = (bit<8>)meta.verdict;
                hdr.bridge.report_colour = meta.report_colour;
                hdr.bridge.drop_reason = (bit<8>)meta.drop_reason;
            }
        }
        hdr.packet.packet_out.setInvalid();
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

// A packet for several BIDs comes here once for each of them, and goes round again to be sent like any other. For all others: lengths
// that lie would make us forward what is not there, and only egress knows how long a frame is.
control ShellEgress(
        inout shell_headers_t                              hdr,
        inout metadata_t                                   meta,
        in    egress_intrinsic_metadata_t                  standard,
        in    egress_intrinsic_metadata_from_parser_t      parsed,
        inout egress_intrinsic_metadata_for_deparser_t     deparsed,
        inout egress_intrinsic_metadata_for_output_port_t  port) {
    Description() description;
    Rewriting()   rewriting;
    OuterHeader() outer_header;
    LastWord()    last_word;

    apply {
        meta.is_ipv4 = 0;
        if (hdr.packet.ipv4.isValid()) {
            meta.is_ipv4 = 1;
        }
        meta.own_address = false;
        meta.is_tunnel = false;
        description.apply(hdr.packet, meta);
        if (hdr.bridge.forwarded == 1) {
            rewriting.apply(hdr.packet, meta);
        }
        if (hdr.bridge.encapsulated == 1) {
            meta.flow_hash = hdr.bridge.flow_hash_high[3:0] ++ hdr.bridge.flow_hash_low;
            if (hdr.bridge.flow_hash_high == 0 && hdr.bridge.flow_hash_low == 0) {
                meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
            }
            meta.tunnel_source = hdr.bridge.tunnel_source;
            meta.destination = hdr.bridge.destination;
            outer_header.apply(hdr.packet, meta);
        }
        last_word.apply(hdr.bridge, meta, standard.pkt_length, deparsed.drop_ctl);
        if (standard.egress_rid != 0) {
            hdr.bridge.bid = standard.egress_rid;
        } else {
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
