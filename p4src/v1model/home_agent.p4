// The home agent's data plane for BMv2 and the embedded switch.
#include <core.p4>
#include <v1model.p4>

#include "target.p4"
#include "../common/sizes.p4"
#include "../common/types.p4"
#include "../common/headers.p4"
#include "verdicts.p4"
#include "../blocks/parser.p4"
#include "lengths.p4"
#include "pipeline.p4"

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

control ShellIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    Lengths()   lengths;
    HomeAgent() home_agent;

    @id(0x12000001) counter(COUNT_DROP_REASONS, CounterType.packets_and_bytes) drops;

    apply {
        meta.ingress_port = standard.ingress_port;
        meta.is_copy = standard.instance_type == INSTANCE_RECIRCULATED;
        if (standard.parser_error != error.NoError) {
            meta.malformed = true;
        } else if (standard.checksum_error == 1) {
            meta.malformed = meta.malformed || !meta.is_tunnel;
            meta.inner_malformed = true;
        }
        if (hdr.packet_out.isValid() && hdr.packet_out.routed == 0) {
            meta.egress_port = (port_t)hdr.packet_out.egress_port;
        } else {
            meta.from_controller = hdr.packet_out.isValid();
            lengths.apply(hdr, meta, standard.packet_length);
            home_agent.apply(hdr, meta);
        }
        hdr.packet_out.setInvalid();

        if (meta.verdict == verdict_t.FORWARD) {
            standard.egress_spec = meta.egress_port;
            standard.mcast_grp = meta.group_id;
        } else if (meta.verdict == verdict_t.PUNT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (bit<16>)standard.ingress_port;
            hdr.packet_in.reason = (bit<8>)meta.punt_reason;
            hdr.packet_in.mtu = meta.reported_mtu;
            standard.egress_spec = CPU_PORT;
        } else {
            drops.count((bit<32>)(bit<8>)meta.drop_reason);
            mark_to_drop(standard);
        }
    }
}

// A packet for several BIDs comes here once for each of them, and goes round again to be sent like any other.
control ShellEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (standard.egress_rid != 0) {
            meta.bid = standard.egress_rid;
            recirculate_preserving_field_list(COPY_FIELDS);
        }
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

V1Switch(ShellParser(), ShellVerify(), ShellIngress(), ShellEgress(), ShellUpdate(), ShellDeparser()) main;
