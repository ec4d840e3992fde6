"""What DuckDB's functions take, for arguments whose type is known only when the query runs."""

from __future__ import annotations

from collections.abc import Mapping


def words(text: str) -> frozenset[str]:
    """Give the words of a text."""
    return frozenset(text.split())


NUMBERS = words(
    """
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot corr covar_pop
    covar_samp degrees even exp favg fdiv floor fmod fsum gamma isinf isnan isfinite
    kahan_sum kurtosis kurtosis_pop lgamma ln log log10 log2 mad median mod multiply
    nextafter pow power product quantile quantile_cont quantile_disc percentile_cont
    percentile_disc approx_quantile reservoir_quantile radians regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy round round_even
    roundbankers sem sign signbit sin sinh skewness sqrt stddev stddev_pop stddev_samp
    sumkahan tan tanh trunc truncate var_pop var_samp variance variance_pop divide add
    subtract geomean geometric_mean
    """
)
"""Functions over numbers."""
WHOLES_IN = words(
    """
    factorial gcd greatest_common_divisor lcm least_common_multiple chr bit_count bit_and
    bit_or bit_xor xor bin hex to_hex to_binary to_base to_years to_months to_days to_hours
    to_minutes to_weeks to_quarters to_decades to_centuries to_millennia to_microseconds
    make_date generate_series range
    """
)
"""Functions over whole numbers."""
TEXTS = words(
    """
    base64 capitalize concat concat_ws damerau_levenshtein editdist3 format from_base64
    hamming initcap jaccard jaro_similarity jaro_winkler_similarity lcase left levenshtein
    lower lpad ltrim md5 pad nfc_normalize prefix printf regexp_escape regexp_extract
    regexp_replace repeat replace reverse right rpad rtrim sha1 sha256 sha split_part
    string_agg group_concat listagg strip_accents substr substring substring_grapheme suffix
    to_base64 translate trim ucase upper url_decode url_encode left_grapheme right_grapheme
    parse_path parse_filename parse_dirname parse_dirpath
    """
)
"""Functions over texts that give text."""
TEXTS_IN = TEXTS | words(
    """
    ascii bit_length ends_with endswith instr length_grapheme position ord
    regexp_extract_all regexp_full_match regexp_like regexp_matches regexp_split_to_array
    split starts_with startswith str_position str_split str_split_regex string_split
    string_split_regex string_to_array strlen strpos unicode octet_length strptime
    try_strptime mismatches
    """
)
"""Functions over texts."""
TIMES = words(
    """
    date_trunc datetrunc timestamp_trunc now today current_timestamp current_date last_day
    time_bucket to_timestamp make_timestamp make_date strptime try_strptime date_add
    timestamp_add date_sub_interval
    """
)
"""Functions that give times."""
TIMES_IN = words(
    """
    age century date_diff datediff date_part datepart date_sub datesub date_trunc datetrunc
    timestamp_trunc day dayname day_of_month day_of_week day_of_year dayofmonth dayofweek
    dayofyear decade epoch epoch_ms epoch_ns epoch_us era extract hour isodow isoyear julian
    last_day microsecond millennium millisecond minute month monthname nanosecond quarter
    second strftime time_bucket timezone timezone_hour timezone_minute unix_to_time week
    weekday week_of_year weekofyear year yearweek timestamp_diff time_to_str date_add
    timestamp_add unix_seconds time_to_unix day_of_week_iso
    """
)
"""Functions over times."""
WHOLES = words(
    """
    count count_star length len array_length array_size list_length strlen strpos instr
    position str_position century date_diff datediff day dayofmonth dayofweek dayofyear
    decade epoch_ms epoch_ns epoch_us hour isodow isoyear microsecond millennium millisecond
    minute month nanosecond quarter week weekday weekofyear year yearweek row_number rank
    dense_rank ntile approx_count_distinct count_if countif array_position list_position
    list_indexof
    """
)
"""Functions that give whole numbers."""
LISTS_IN = words(
    """
    array_aggr list_aggr array_aggregate list_aggregate array_any_value list_any_value
    array_append list_append array_push_back array_cat list_cat array_concat list_concat
    array_contains list_contains array_has list_has array_distinct list_distinct
    array_extract list_extract list_element array_filter list_filter filter array_flatten
    flatten array_grade_up list_grade_up array_has_all list_has_all array_has_any
    list_has_any array_indexof list_indexof array_intersect list_intersect array_join
    array_to_string list_count list_first list_last list_max list_min list_mode list_sum
    list_avg list_median list_unique array_unique array_overlaps array_position
    list_position array_prepend list_prepend array_push_front array_remove array_resize
    list_resize array_reverse list_reverse array_reverse_sort list_reverse_sort array_slice
    list_slice array_transform list_transform apply list_apply array_apply array_zip
    list_zip list_reduce array_reduce reduce list_string_agg array_first array_last
    list_where array_where list_select array_select array_contains_all
    """
)
"""Functions whose first argument is a list."""
TWO_LISTS = words(
    """
    array_cat list_cat array_concat list_concat array_has_all list_has_all array_has_any
    list_has_any array_intersect list_intersect array_zip list_zip array_contains_all
    array_overlaps
    """
)
"""Functions whose arguments are all lists."""
ITEMS_IN = words(
    """
    array_append list_append array_push_back array_contains list_contains array_has list_has
    array_indexof list_indexof array_position list_position array_prepend list_prepend
    array_push_front array_remove list_remove
    """
)
"""Functions that take a list and an item, in either order."""
MEMBERSHIPS = words(
    """
    array_contains list_contains array_has list_has
    """
)
"""Those that tell whether a list holds an item."""
ITEM_FIRST = frozenset({"list_prepend"})
"""Those whose item comes first."""
SORTS = frozenset({"array_sort", "list_sort"})
"""Functions that sort a list."""
EXTREMES: Mapping[str, str] = {"list_max": "v__greatest", "list_min": "v__least"}
NUMBER_LISTS = words(
    """
    list_sum list_avg list_median list_product list_stddev_pop list_stddev_samp list_var_pop
    list_var_samp
    """
)
"""Functions over lists of numbers."""
TRUTHS_IN = words(
    """
    bool_and bool_or booland_agg boolor_agg count_if countif logical_and logical_or
    """
)
"""Functions over conditions."""
COUNTED: Mapping[str, tuple[int, ...]] = {
    "substr": (1, 2), "substring": (1, 2), "left": (1,), "right": (1,), "lpad": (1,), "rpad": (1,),
    "pad": (1,),
    "repeat": (1,), "split_part": (2,),
}  # fmt: skip
"""Arguments of text functions that are whole numbers, by position from 0."""
