// Which packet is it that is forwarded: what is inside a tunnel that ends here, else all of it. Later blocks know of it what is
// said here, whichever of the two IP versions it has.
#ifndef BLOCKS_DESCRIPTION_P4
#define BLOCKS_DESCRIPTION_P4

control Description(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.own_address && hdr.inner_ipv6.isValid()) {
            meta.source = hdr.inner_ipv6.source;
            meta.destination = hdr.inner_ipv6.destination;
            meta.octets = hdr.inner_ipv6.payload_length |+| IPV6_HEADER_OCTETS;
            meta.last = hdr.inner_ipv6.payload_length |+| (IPV6_HEADER_OCTETS - 1);
            meta.outer_last = hdr.inner_ipv6.payload_length |+| (IPV6_HEADER_OCTETS - 1);
            meta.traffic_class = hdr.inner_ipv6.traffic_class;
            meta.flow_label = hdr.inner_ipv6.flow_label;
            meta.hop_limit = hdr.inner_ipv6.hop_limit;
        } else if (hdr.ipv4.isValid() && (meta.own_address || meta.is_ipv4 == 1)) {
            meta.is_ipv4 = 1;
            meta.source = MAPPED(hdr.ipv4.source);
            meta.destination = MAPPED(hdr.ipv4.destination);
            meta.octets = hdr.ipv4.total_length;
            meta.last = hdr.ipv4.total_length - 1;
            meta.outer_last = hdr.ipv4.total_length - 1;
            meta.traffic_class = hdr.ipv4.traffic_class;
            meta.hop_limit = hdr.ipv4.time_to_live;
        } else {
            meta.source = hdr.ipv6.source;
            meta.destination = hdr.ipv6.destination;
            meta.octets = hdr.ipv6.payload_length |+| IPV6_HEADER_OCTETS;
            meta.last = hdr.ipv6.payload_length |+| (IPV6_HEADER_OCTETS - 1);
            meta.outer_last = hdr.ipv6.payload_length |+| (IPV6_HEADER_OCTETS - 1);
            meta.traffic_class = hdr.ipv6.traffic_class;
            meta.flow_label = hdr.ipv6.flow_label;
            meta.hop_limit = hdr.ipv6.hop_limit;
            if (meta.is_tunnel) {
                // A tunnel that is not ours is a packet like any other: what is inside is not its upper layer.
                meta.upper.protocol = hdr.ipv6.next_header;
                meta.upper.source_port = 0;
                meta.upper.destination_port = 0;
                meta.upper.spi = 0;
            }
        }
    }
}

#endif
