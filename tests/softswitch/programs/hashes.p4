/* Every hash algorithm, and checksums with payload. */
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  what;
    bit<16> sum;
    bit<32> first;
    bit<48> second;
    bit<4>  third;
    bit<4>  fourth;
    bit<32> result;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    bit<32> value;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum_with_payload(hdr.data.what == 8, { hdr.data.first, hdr.data.second, hdr.data.third, hdr.data.fourth },
                                     hdr.data.sum, HashAlgorithm.csum16);
    }
}

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        bit<32> base = 0;
        bit<64> limit = 0x100000000;
        if (hdr.data.what == 1) {
            hash(meta.value, HashAlgorithm.crc16, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 2) {
            hash(meta.value, HashAlgorithm.crc32, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 3) {
            hash(meta.value, HashAlgorithm.crc16_custom, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 4) {
            hash(meta.value, HashAlgorithm.crc32_custom, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 5) {
            hash(meta.value, HashAlgorithm.identity, base, { hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 6) {
            hash(meta.value, HashAlgorithm.csum16, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 7) {
            hash(meta.value, HashAlgorithm.xor16, base, { hdr.data.first, hdr.data.second, hdr.data.third }, limit);
        } else if (hdr.data.what == 8) {
            meta.value = (bit<32>)standard.checksum_error;
        } else if (hdr.data.what == 9) {
            hash(meta.value, HashAlgorithm.crc32, 32w100, { hdr.data.first, 8w5 }, 32w7);
        } else if (hdr.data.what == 10) {
            bit<32> low = hdr.data.first;
            random(meta.value, low, low);
        }
        hdr.data.result = meta.value;
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum_with_payload(hdr.data.what == 11, { hdr.data.first, hdr.data.second, hdr.data.third, hdr.data.fourth },
                                     hdr.data.sum, HashAlgorithm.csum16);
        update_checksum(hdr.data.what == 12, { hdr.data.first, hdr.data.second }, hdr.data.result, HashAlgorithm.crc32);
        update_checksum(hdr.data.what == 13, { hdr.data.first, hdr.data.second }, hdr.data.sum, HashAlgorithm.xor16);
    }
}

control Deparse(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.data); }
}

V1Switch(Parse(), Verify(), In(), Out(), Compute(), Deparse()) main;
