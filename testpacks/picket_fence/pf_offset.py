pf_offset = -sum(pf["offsets_from_cax_mm"]) / len(pf["offsets_from_cax_mm"]) if pf else None
