from qa_fetch import composite

patientid = composite.patient(UTILS)
