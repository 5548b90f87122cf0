// Which packet is it that is forwarded: what is inside a tunnel that ends here, else all of it. Later blocks know of it what is
// said here, whichever of the two IP versions it has.
#ifndef BLOCKS_DESCRIPTION_P4
#define BLOCKS_DESCRIPTION_P4

#define DESCRIBE_IPV6(header) \
    meta.source = header.source; \
    meta.destination = header.destination; \
    meta.octets = header.payload_length |+| HEADER_OCTETS; \
    meta.last = header.payload_length |+| HEADER_LAST; \
    meta.traffic_class = header.traffic_class; \
    meta.flow_label = header.flow_label; \
    meta.hop_limit = header.hop_limit;

#define DESCRIBE_IPV4 \
    meta.source = MAPPED(hdr.ipv4.source); \
    meta.destination = MAPPED(hdr.ipv4.destination); \
    meta.octets = hdr.ipv4.total_length; \
    meta.last = hdr.ipv4.total_length - 1; \
    meta.traffic_class = hdr.ipv4.traffic_class; \
    meta.hop_limit = hdr.ipv4.time_to_live;

// What a tunnel that ends here carries; what comes to us without one is described as it is.
control InnerPacket(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.inner_ipv6.isValid()) {
            DESCRIBE_IPV6(hdr.inner_ipv6)
        } else if (hdr.ipv4.isValid()) {
            meta.is_ipv4 = 1;
            DESCRIBE_IPV4
        } else {
            DESCRIBE_IPV6(hdr.ipv6)
        }
    }
}

control WholePacket(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv6.isValid()) {
            DESCRIBE_IPV6(hdr.ipv6)
        } else if (meta.is_ipv4 == 1) {
            DESCRIBE_IPV4
        }
    }
}

// A tunnel that is not ours is a packet like any other: what is inside is not its upper layer.
control TransitTunnel(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.is_tunnel && !meta.own_address) {
            meta.upper.protocol = hdr.ipv6.next_header;
            meta.upper.source_port = 0;
            meta.upper.destination_port = 0;
            meta.upper.spi = 0;
        }
    }
}

#endif
