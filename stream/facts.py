"""The names of what a feed may know of an event; the words in which a card states its intended use.

A fact that is not known is left out. Values are plain JSON.

| fact | events | value |
|---|---|---|
| ``age_years`` | all | completed years at StudyDate, at the window's origin, or at the note's time; a float below 2 years |
| ``sex`` | all | ``female``, ``male``, ``other`` |
| ``modality`` | scan | DICOM Modality: ``CR``, ``DX``, ``CT`` … |
| ``body_part`` | scan | DICOM BodyPartExamined, upper case |
| ``view`` | scan | DICOM ViewPosition: ``AP``, ``PA``, ``LL`` … |
| ``presentation_intent`` | scan | PresentationIntentType: ``FOR PRESENTATION``, ``FOR PROCESSING`` |
| ``sop_class`` | scan | SOPClassUID |
| ``image_type`` | scan | ImageType, a list |
| ``frames`` | scan | NumberOfFrames |
| ``source`` | scan | the calling AE title of the series' source, which is asked how many instances there are |
| ``study_instance_uid`` | scan | StudyInstanceUID of a series, to ask with |
| ``expected_instances`` | scan | what the source said, where fewer came |
| ``setting`` | lab | ``icu`` |
| ``window_complete`` | lab | False when the patient left intensive care before the window's end |
| ``window_hours`` | lab | how many hours the window of results covers |
| ``refused_points`` | lab | a list of ``{"code", "reason", "n"}`` |
| ``not_connected`` | lab | LOINC codes that this installation has not seen for 7 days |
| ``document_type`` | note | LOINC code of the document |
| ``language`` | note | BCP 47 |
| ``repeated_hour`` | scan, lab | True when the local time of acquisition, or of the stay's origin, stands twice or not at all |
| ``defaults`` | all | names of the facts above that the feed's configuration supplied |
"""

AGE_YEARS = "age_years"
SEX = "sex"
MODALITY = "modality"
BODY_PART = "body_part"
VIEW = "view"
PRESENTATION_INTENT = "presentation_intent"
SOP_CLASS = "sop_class"
IMAGE_TYPE = "image_type"
FRAMES = "frames"
SETTING = "setting"
WINDOW_COMPLETE = "window_complete"
WINDOW_HOURS = "window_hours"
REFUSED_POINTS = "refused_points"
NOT_CONNECTED = "not_connected"
DOCUMENT_TYPE = "document_type"
LANGUAGE = "language"
REPEATED_HOUR = "repeated_hour"
DEFAULTS = "defaults"
